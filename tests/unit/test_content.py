"""Contents to adapt on: deterministic, in range, varied, credited."""

import re
from pathlib import Path

import pytest
import torch
from samples import picture
from torch import Generator

from metastyle_core import content
from metastyle_core.content import in_quarters, own_contents, shipped_contents
from metastyle_core.errors import SettingsError


def test_shipped_contents_are_deterministic_and_in_range():
    contents, again, other = (
        shipped_contents(6, 64, Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert (len(contents), min(contents.shape[-2:])) == (6, 64)
    assert 0 <= contents.min() <= contents.max() <= 1
    assert torch.equal(contents, again)
    assert not torch.equal(contents, other)


def test_every_shipped_photograph_is_credited_and_used():
    folder = Path(content.__file__).parent / "photographs"
    files = sorted(path.name for path in folder.glob("*.webp"))
    credited = re.findall(r"`(\w+\.webp)`", (folder / "CREDITS.md").read_text(encoding="utf-8"))
    assert credited == files
    assert len(files) <= 12
    crops = shipped_contents(len(files), 64, Generator().manual_seed(0)).flatten(1)
    assert torch.cdist(crops, crops).fill_diagonal_(1e9).min() > 5


def test_crops_use_every_image_and_any_size(generator):
    images = [picture(64, 200, seed=1), picture(500, 90, seed=2), torch.zeros(1, 3, 30, 30)]
    crops = own_contents(images, 6, 64, generator)
    assert len(crops) == 3
    assert int(crops.amax((1, 2, 3)).eq(0).sum()) == 1


@pytest.mark.parametrize(
    ("pictures", "short_px", "number", "size"),
    [
        (1, 300, 4, (136, 181)),  # a sixth of 24, with six times the pixels, of the same ratio
        (4, 300, 4, (136, 181)),
        (12, 300, 12, (78, 105)),  # half as many, with twice the pixels
        (24, 300, 24, (64, 85)),  # no shorter than the usual side
        (99, 300, 24, (64, 85)),
        (1, 30, 4, (64, 256)),  # no longer than four times the short side
    ],
)
def test_few_pictures_of_ones_own_are_cropped_largely(generator, pictures, short_px, number, size):
    images = [picture(short_px, 400, seed=seed) for seed in range(pictures)]
    assert own_contents(images, 24, 64, generator).shape == (number, 3, *size)


def test_crops_have_the_mean_ratio_and_at_most_the_pixels_of_the_largest_picture(generator):
    images = [picture(70, 90, seed=1), picture(110, 100, seed=2)]
    crops = own_contents(images, 24, 64, generator)
    height, width = crops.shape[-2:]
    assert width / height == pytest.approx(((90 / 70) * (100 / 110)) ** 0.5, rel=0.02)
    assert height * width == pytest.approx(110 * 100, rel=0.02)
    with pytest.raises(SettingsError, match="content image"):
        own_contents([], 24, 64, generator)


@pytest.mark.parametrize("size", [(128, 128), (96, 150), (150, 96)])
def test_a_picture_as_large_as_its_crops_is_learned_on_whole(generator, size):
    image = picture(*size, seed=1)
    crops = own_contents([image], 24, 64, generator)
    whole = [image, image.flip(-1)]
    assert all(any(torch.equal(crop[None], one) for one in whole) for crop in crops)


def test_quarters_are_the_pixels_of_the_whole_in_their_places():
    contents = torch.arange(2 * 3 * 5 * 5.0).view(2, 3, 5, 5)
    assert in_quarters(contents[..., :3]).shape == (8, 3, 2, 1)
    quarters = in_quarters(contents)
    assert quarters.shape == (8, 3, 2, 2)
    assert torch.equal(quarters[1], contents[0, :, :2, 2:4])
    assert torch.equal(quarters[6], contents[1, :, 2:4, :2])
