"""Reading and writing picture files of every kind, and refusing what is none."""

import numpy as np
import pytest
import torch
from PIL import Image

from metastyle_core.errors import ImageFileError, SettingsError, ShapeError
from metastyle_core.images import (
    center_crop,
    contact_sheet,
    fit_within,
    image_size,
    limit_long_side,
    list_images,
    load_image,
    luminance,
    resize_short_side,
    save_image,
)


def test_png_round_trip_is_exact(tmp_path, generator):
    image = torch.randint(0, 256, (3, 20, 30), generator=generator) / 255.0
    save_image(image, tmp_path / "a.png")
    torch.testing.assert_close(load_image(tmp_path / "a.png").pixels, image, rtol=0, atol=1e-6)


def test_exif_orientation_is_applied(tmp_path):
    picture = Image.new("RGB", (40, 20), "red")
    exif = picture.getexif()
    exif[0x0112] = 6  # lies on its side
    picture.save(tmp_path / "side.jpg", exif=exif)
    assert load_image(tmp_path / "side.jpg").pixels.shape == (3, 40, 20)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1"])
def test_other_colour_modes_become_rgb(tmp_path, mode):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new("RGB", (10, 8), "white").convert(mode).save(path)
    loaded = load_image(path)
    assert loaded.pixels.shape == (3, 8, 10)
    assert loaded.pixels.min() > 0.97


def test_sixteen_bit_gray_keeps_its_range(tmp_path):
    values = np.full((9, 11), 32768, dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    pixels = load_image(tmp_path / "deep.png").pixels
    assert pixels.shape == (3, 9, 11)
    assert float(pixels.mean()) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_over_white_and_is_kept(tmp_path, mode):
    picture = Image.new("RGBA", (6, 4), (0, 0, 0, 0)).convert(mode)
    picture.save(tmp_path / "clear.png")
    loaded = load_image(tmp_path / "clear.png")
    assert loaded.pixels.min() == 1.0
    assert loaded.alpha is not None
    assert loaded.alpha.max() == 0.0


def test_palette_transparency_is_found(tmp_path):
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([0, 0, 0] * 256)
    picture.save(tmp_path / "p.png", transparency=0)
    assert load_image(tmp_path / "p.png").alpha is not None


def test_alpha_is_saved_with_png_and_dropped_with_jpeg(tmp_path):
    image, alpha = torch.rand(3, 8, 8), torch.zeros(1, 8, 8)
    save_image(image, tmp_path / "a.png", alpha=alpha)
    save_image(image, tmp_path / "a.jpg", alpha=alpha)
    assert Image.open(tmp_path / "a.png").mode == "RGBA"
    assert Image.open(tmp_path / "a.jpg").mode == "RGB"


def test_a_phone_picture_with_a_second_frame_is_read(tmp_path):
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    first.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[second])
    assert load_image(tmp_path / "phone.jpg").pixels[0].mean() > 0.9


def broken_files(folder):
    text = folder / "text.jpg"
    text.write_text("not a picture")
    cut = folder / "cut.png"
    whole = folder / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(whole)
    cut.write_bytes(whole.read_bytes()[:2000])
    empty = folder / "empty.png"
    empty.touch()
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    animated = folder / "moving.gif"
    frames[0].save(animated, save_all=True, append_images=frames[1:])
    floating = folder / "float.tif"
    Image.fromarray(np.ones((8, 8), dtype=np.float32)).save(floating)
    return {
        text: "not an image",
        cut: "damaged or cut short",
        empty: "not an image",
        animated: "2 frames",
        floating: "floating-point",
        folder / "absent.png": "does not exist",
        folder: "is a folder",
    }


def test_broken_files_are_refused_in_one_clear_line(tmp_path):
    for path, reason in broken_files(tmp_path).items():
        with pytest.raises(ImageFileError, match=reason) as caught:
            load_image(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "spoilt"),
    [(b"\x00\x01\x04\x00", b"\xff\xfe\x04\x00"), (b"\x11\x01\x04\x00", b"\x11\x01\x02\x00")],
    ids=["no width", "text for a place"],
)
def test_a_tiff_with_a_spoilt_header_is_refused_in_words(tmp_path, entry, spoilt):
    path = tmp_path / "a.tif"
    Image.new("RGB", (8, 8)).save(path)
    data = path.read_bytes()
    assert entry in data
    path.write_bytes(data.replace(entry, spoilt, 1))
    with pytest.raises(ImageFileError, match="is damaged|not an image"):
        load_image(path)


def test_a_place_that_cannot_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(ImageFileError, match=r"Cannot read .*Permission denied"):
        load_image(path)


def test_too_many_pixels_are_refused_before_decoding(tmp_path):
    Image.new("1", (400, 300)).save(tmp_path / "bomb.png")
    with pytest.raises(ImageFileError, match="400x300"):
        load_image(tmp_path / "bomb.png", max_pixels=100_000)


def test_saving_refuses_unknown_suffixes_and_bad_places(tmp_path):
    image = torch.rand(3, 8, 8)
    with pytest.raises(ImageFileError, match="gif"):
        save_image(image, tmp_path / "a.gif")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ImageFileError, match="Cannot write"):
        save_image(image, tmp_path / "file" / "a.png")
    with pytest.raises(ShapeError):
        save_image(torch.rand(4, 8, 8), tmp_path / "a.png")
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("value", [255.0, -7.0, float("nan")])
def test_values_outside_the_range_are_not_saved(tmp_path, value):
    with pytest.raises(SettingsError, match="Picture holds"):
        save_image(torch.full((3, 8, 8), value), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(ImageFileError, match="No space left"):
        save_image(torch.rand(3, 8, 8), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_a_failed_rename_leaves_nothing_behind(tmp_path):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageFileError, match="Cannot write"):
        save_image(torch.zeros(3, 20, 20), tmp_path / "folder.png")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_the_size_is_read_off_the_header(tmp_path):
    save_image(torch.zeros(3, 20, 30), tmp_path / "a.png")
    assert image_size(tmp_path / "a.png") == (20, 30)
    with pytest.raises(ImageFileError, match="does not exist"):
        image_size(tmp_path / "b.png")


def test_listing_is_sorted_recursive_and_refuses_empty_folders(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.JPG", "sub/c.webp", "notes.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in list_images(tmp_path)] == ["a.JPG", "b.png", "c.webp"]
    (tmp_path / "bare").mkdir()
    with pytest.raises(ImageFileError, match="holds no image"):
        list_images(tmp_path / "bare")
    with pytest.raises(ImageFileError, match="not a folder"):
        list_images(tmp_path / "absent")


def test_sizes():
    images = torch.rand(2, 3, 40, 60)
    assert resize_short_side(images, 20).shape == (2, 3, 20, 30)
    assert limit_long_side(images, 30).shape == (2, 3, 20, 30)
    assert limit_long_side(images, 100) is images
    assert center_crop(images, 32).shape == (2, 3, 32, 32)
    with pytest.raises(ShapeError, match="60x40"):
        center_crop(images, 41)
    height, width = fit_within(1000, 2000, 500_000)
    assert (height, width) == (500, 1000)


def test_resizing_a_flat_picture_changes_no_colour():
    flat = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(1, 3, 33, 47)
    resized = resize_short_side(flat, 20)
    torch.testing.assert_close(resized.amax((2, 3)), resized.amin((2, 3)), rtol=0, atol=1e-6)


def test_luminance_by_hand():
    colours = torch.eye(3).view(3, 3, 1, 1)
    torch.testing.assert_close(luminance(colours).flatten(), torch.tensor([0.299, 0.587, 0.114]))


def test_contact_sheet_places_pictures():
    black, gray = torch.zeros(3, 4, 4), torch.full((3, 4, 4), 0.5)
    sheet = contact_sheet([[black, gray], [gray]], gap_px=2)
    assert sheet.shape == (3, 10, 10)
    assert sheet[0, 0, 0] == 0
    assert sheet[0, 0, 6] == 0.5
    assert sheet[0, 4, 4] == 1
    assert sheet[0, 6, 0] == 0.5
    with pytest.raises(ShapeError):
        contact_sheet([[black, torch.zeros(3, 5, 5)]])
