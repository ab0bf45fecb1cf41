"""Pools of training pictures: sources, crops, files that cannot be read, manifests."""

import pytest
import torch
from samples import picture
from torch import Generator

from metastyle_core.errors import ImageFileError, TrainingError
from metastyle_core.images import save_image
from metastyle_core.training.data import ImagePool


def test_sources_are_balanced():
    images = [torch.zeros(3, 64, 64, dtype=torch.uint8)] * 104
    pool = ImagePool(images, ["many"] * 100 + ["few"] * 4)
    crops = pool.draw(4000, 64, Generator().manual_seed(0))
    few = sum(crop.index >= 100 for crop in crops) / 4000
    assert few == pytest.approx(2 / 12, abs=0.02)  # sqrt(4) against sqrt(100)


def test_crops_stay_inside_and_keep_their_size(pool):
    crops = pool.draw(50, 70, Generator().manual_seed(0), max_scale=1.5)
    pictures = pool.read(crops, 70)
    assert pictures.shape == (50, 3, 70, 70)
    assert 0 <= pictures.min() <= pictures.max() <= 1
    assert {crop.flip for crop in crops} == {True, False}


def test_unreadable_training_images_are_left_out(tmp_path, caplog):
    save_image(picture(64, 64)[0], tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no picture")
    assert len(ImagePool.from_folder(tmp_path)) == 1
    assert "1 unreadable" in caplog.text
    (tmp_path / "good.png").unlink()
    with pytest.raises(ImageFileError, match="no readable image"):
        ImagePool.from_folder(tmp_path)


def test_the_manifest_gives_sources_and_must_fit(tmp_path):
    folder = tmp_path / "style" / "train"
    save_image(picture(64, 64)[0], folder / "1.png")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("file,source\nstyle/train/1.png,museum\n")
    assert len(ImagePool.from_folder(folder, manifest=manifest)) == 1
    manifest.write_text("file,source\nother/1.png,museum\n")
    with pytest.raises(TrainingError, match="names none"):
        ImagePool.from_folder(folder, manifest=manifest)
    manifest.write_text("name\nx\n")
    with pytest.raises(TrainingError, match="manifest"):
        ImagePool.from_folder(folder, manifest=manifest)


def test_large_photographs_are_kept_at_the_size_that_training_needs(tmp_path):
    save_image(picture(160, 200)[0], tmp_path / "large.png")
    save_image(picture(64, 80)[0], tmp_path / "small.png")
    pool = ImagePool.from_folder(tmp_path, max_short_side_px=80)
    crops = pool.draw(40, 64, Generator().manual_seed(0))
    assert {crop.index for crop in crops} == {0, 1}
    assert pool._sizes == [(80, 100), (64, 80)]


def test_a_pool_without_pictures_is_refused():
    with pytest.raises(TrainingError, match="no training image"):
        ImagePool([])
