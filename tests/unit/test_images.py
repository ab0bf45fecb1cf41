"""Reading and writing picture files of every kind, and refusing what is none."""

import math
import os
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from metastyle_core import images as images_module
from metastyle_core.colour_profiles import srgb_profile
from metastyle_core.decoding import LoadedImage
from metastyle_core.errors import ImageFileError, SettingsError, ShapeError
from metastyle_core.images import (
    IMAGE_SUFFIXES,
    center_crop,
    contact_sheet,
    fit_within,
    gaussian_blur,
    image_size,
    limit_long_side,
    list_images,
    load_batch,
    load_image,
    load_square,
    luminance,
    opacity,
    open_rows,
    quantised,
    resize,
    resize_short_side,
    save_image,
    save_pil,
    spread_paths,
    to_pil,
)
from metastyle_core.picture_metadata import PictureMetadata


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


def wide_gamut_profile() -> bytes:
    """A profile of linear light with the primaries of sRGB: its numbers mean brighter colours."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = int.from_bytes(profile[128:132], "big")
    for i in range(tags):
        name, offset, size = struct.unpack(">4sII", profile[132 + 12 * i : 144 + 12 * i])
        if name in {b"rTRC", b"gTRC", b"bTRC"}:
            # One parameter, an exponent of 1.
            profile[offset : offset + size] = struct.pack(">4sIHHi", b"para", 0, 0, 0, 65536).ljust(
                size, b"\0"
            )
    return bytes(profile)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_colour_profiles_become_srgb(tmp_path, mode):
    gray = Image.new("RGB", (8, 8), (128, 128, 128))
    gray = gray.quantize(2) if mode == "P" else gray.convert(mode)
    gray.save(tmp_path / "a.png", icc_profile=wide_gamut_profile())
    loaded = load_image(tmp_path / "a.png")
    # Half of the light is 188 in sRGB.
    torch.testing.assert_close(
        loaded.pixels, torch.full((3, 8, 8), 188 / 255), rtol=0, atol=1.5 / 255
    )
    gray.save(tmp_path / "b.png", icc_profile=srgb_profile())
    assert torch.equal(load_image(tmp_path / "b.png").pixels, torch.full((3, 8, 8), 128 / 255))


def test_lab_becomes_srgb(tmp_path):
    Image.new("LAB", (8, 8), (255, 128, 128)).save(tmp_path / "white.tif")
    assert load_image(tmp_path / "white.tif").pixels.min() > 0.98


@pytest.mark.parametrize("profile", [b"no profile at all", "CMYK"])
def test_a_profile_that_cannot_be_used_is_left_out_with_a_warning(tmp_path, caplog, profile):
    if profile == "CMYK":
        profile = bytearray(srgb_profile())
        profile[16:20] = b"CMYK"
    Image.new("RGB", (8, 8), (10, 20, 30)).save(tmp_path / "a.png", icc_profile=bytes(profile))
    assert load_image(tmp_path / "a.png").pixels[2, 0, 0] == pytest.approx(30 / 255)
    assert "profile cannot be used" in caplog.text


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_what_a_photograph_says_of_itself_is_kept(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112], exif[0x8298], exif[0x0110] = 6, "\u00a9 Ada".encode(), "Camera"
    exif[0x8769] = {0x9003: "2024:05:01 10:00:00", 0xA001: 65535, 0xA002: 40}
    exif[0x8825] = {1: "N", 2: (52.0, 30.0, 0.0)}
    source = tmp_path / "source.jpg"
    Image.new("RGB", (40, 20), "red").save(source, exif=exif, dpi=(300, 300))
    loaded = load_image(source)
    save_image(loaded.pixels, tmp_path / f"kept{suffix}", metadata=loaded.metadata)
    save_image(loaded.pixels, tmp_path / f"bare{suffix}")
    with Image.open(tmp_path / f"kept{suffix}") as picture:
        found = picture.getexif()
        assert found[0x8298].encode("latin-1") == "\u00a9 Ada".encode()
        assert found[0x0110] == "Camera"
        assert 0x0112 not in found
        block = found.get_ifd(0x8769)
        assert block[0x9003] == "2024:05:01 10:00:00"
        assert block[0xA001] == 1
        assert 0xA002 not in block
        assert found.get_ifd(0x8825)[1] == "N"
        if suffix != ".webp":
            assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert picture.info["icc_profile"] == srgb_profile()
    with Image.open(tmp_path / f"bare{suffix}") as picture:
        assert not {0x8298, 0x0110, 0x8769, 0x8825} & set(picture.getexif())
        assert picture.info["icc_profile"] == srgb_profile()


def test_the_tags_of_a_tiff_that_describe_its_bytes_stay_behind(tmp_path):
    source = tmp_path / "a.tif"
    Image.new("RGB", (40, 20), "red").save(source, tiffinfo={0x013B: "Ada"}, dpi=(72, 72))
    kept = Image.Exif()
    kept.load(load_image(source).metadata.exif)
    assert set(kept) <= {0x013B, 0x011A, 0x011B, 0x0128}
    assert kept[0x013B] == "Ada"


def test_a_copyright_in_the_text_of_a_png_is_kept(tmp_path):
    told = PngInfo()
    told.add_text("Copyright", "Ada")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=told)
    kept = Image.Exif()
    kept.load(load_image(tmp_path / "a.png").metadata.exif)
    assert kept[0x8298] == "Ada"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_spoilt_or_endless_exif_is_no_reason_to_refuse_a_picture(tmp_path, caplog):
    picture = Image.new("RGB", (8, 8))
    picture.save(tmp_path / "spoilt.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert load_image(tmp_path / "spoilt.jpg").metadata.exif == b""
    exif = Image.Exif()
    exif[0x010E] = "long " * 20_000
    picture.save(tmp_path / "long.png", exif=exif)
    assert load_image(tmp_path / "long.png").metadata.exif == b""
    assert "left out" in caplog.text


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_kept_beside_straight_colour_and_a_batch_lies_over_white(tmp_path, mode):
    picture = Image.new("RGBA", (6, 4), (51, 51, 51, 102)).convert(mode)
    picture.save(tmp_path / "clear.png")
    loaded = load_image(tmp_path / "clear.png")
    assert loaded.alpha is not None
    torch.testing.assert_close(loaded.pixels, torch.full((3, 4, 6), 0.2))
    torch.testing.assert_close(loaded.alpha, torch.full((1, 4, 6), 0.4))
    whole = load_batch(tmp_path / "clear.png")
    torch.testing.assert_close(whole, torch.full((1, 3, 4, 6), 0.2 * 0.4 + 0.6))


def test_palette_transparency_is_found(tmp_path):
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([0, 0, 0] * 256)
    picture.save(tmp_path / "p.png", transparency=0)
    assert load_image(tmp_path / "p.png").alpha is not None


def sixteen_bits(channels: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A ramp that 8 bits cannot tell apart, and alpha."""
    ramp = torch.arange(24 * 24).view(1, 24, 24) / 65535 + 0.25
    pixels = torch.cat([ramp, ramp.flip(-1), ramp.flip(-2)])
    return pixels, None if channels == 3 else torch.full((1, 24, 24), 40_000 / 65535)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bits_pass_through_a_file(tmp_path, suffix, channels):
    pixels, alpha = sixteen_bits(channels)
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[0x8298] = "\u00a9 Ada".encode()
    told = PictureMetadata(exif.tobytes(), (300.0, 300.0))
    save_image(pixels, path, alpha=alpha, depth=16, metadata=told)
    loaded = load_image(path)
    assert loaded.depth == 16
    torch.testing.assert_close(loaded.pixels, pixels, rtol=0, atol=1.5 / 65535)
    assert torch.equal(open_rows(path).colour.read(0, 24), loaded.pixels[None])
    if alpha is not None:
        torch.testing.assert_close(loaded.alpha, alpha, rtol=0, atol=1e-6)
    with Image.open(path) as picture:
        assert picture.info["icc_profile"] == srgb_profile()
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert picture.getexif()[0x8298].encode("latin-1") == "\u00a9 Ada".encode()


def test_sixteen_bits_are_refused_where_they_do_not_fit(tmp_path):
    with pytest.raises(ImageFileError, match="cannot hold 16 bits"):
        save_image(sixteen_bits(3)[0], tmp_path / "a.jpg", depth=16)
    assert not list(tmp_path.iterdir())


def gray_tiff(path: Path, values: np.ndarray) -> None:
    """A TIFF of 8x8 px of any kind of number; Pillow writes no signed ones of 16 bits."""
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    data = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
    tags = ImageFileDirectory_v2()
    for tag, value in (
        (256, 8), (257, 8), (258, 8 * values.itemsize), (259, 1), (262, 1), (273, 0), (277, 1),
        (278, 8), (279, len(data)), (339, kind),
    ):  # fmt: skip
        tags[tag] = value
    with path.open("wb") as file:
        tags.save(file)
        file.write(data)


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        (np.uint16, 32768, 0.5),
        (np.float32, 0.25, 0.25),
        (np.int16, 16384, 0.5),
        (np.int16, -5, "from -5 to -5"),
        (np.int32, 70_000, "32-bit"),
        (np.uint32, 70_000, "32-bit"),
        (np.float32, 255.0, "from 255 to 255"),
        (np.float32, float("nan"), "from nan to nan"),
    ],
)
def test_deep_gray_tiffs_keep_their_values_or_are_refused(tmp_path, kind, value, wanted):
    path = tmp_path / "a.tif"
    gray_tiff(path, np.full((8, 8), value, kind))
    if isinstance(wanted, str):
        for read in (load_image, open_rows):
            with pytest.raises(ImageFileError, match=f"^{path} h.*{wanted}"):
                read(path)
    else:
        assert float(load_image(path).pixels.mean()) == pytest.approx(wanted, abs=1e-4)


def test_one_transparent_gray_of_sixteen_bits_is_found(tmp_path):
    values = np.full((8, 8), 1000, np.uint16)
    values[0] = 1001
    Image.fromarray(values).save(tmp_path / "a.png", transparency=1000)
    alpha = load_image(tmp_path / "a.png").alpha
    assert alpha is not None
    assert alpha[0, 0].min() == 1
    assert alpha[0, 1:].max() == 0


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".avif", ".mpo", ".heic", ".jxl"])
def test_further_formats_are_read_where_a_library_reads_them(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix not in IMAGE_SUFFIXES:
        path.write_bytes(b"\0\0\0\x18ftypheic")
        with pytest.raises(ImageFileError, match="install pillow-"):
            load_image(path)
        return
    kind = {".avif": "AVIF", ".heic": "HEIF", ".jxl": "JXL"}.get(suffix, "JPEG")
    Image.new("RGB", (16, 16), "red").save(path, format=kind)
    assert load_image(path).pixels[0].min() > 0.9
    assert list_images(tmp_path) == [path]


@pytest.mark.parametrize(
    ("installed", "wanted"),
    [
        ({"pillow_heif"}, ["pillow_heif", "registered"]),
        ({"pillow_jxl"}, ["pillow_jxl"]),
        (set(), []),
    ],
)
def test_installed_plugins_teach_pillow_their_formats(monkeypatch, installed, wanted):
    found = []

    def import_module(name: str) -> SimpleNamespace:
        found.append(name)
        return SimpleNamespace(register_heif_opener=lambda: found.append("registered"))

    monkeypatch.setattr(images_module, "_is_installed", installed.__contains__)
    monkeypatch.setattr(images_module, "importlib", SimpleNamespace(import_module=import_module))
    images_module._register_plugins.__wrapped__()
    assert found == wanted


def test_what_is_left_out_of_a_folder_is_counted(tmp_path, caplog):
    for name in ("a.png", "b.txt", "c.txt", "d.mov", ".hidden"):
        (tmp_path / name).touch()
    list_images(tmp_path)
    assert "3 files are no images" in caplog.text
    assert "(.mov, .txt)" in caplog.text


def test_nothing_is_said_of_a_folder_of_images_alone_and_eight_kinds_are_named(tmp_path, caplog):
    (tmp_path / "a.png").touch()
    list_images(tmp_path)
    assert caplog.text == ""
    for letter in "bcdefghij":
        (tmp_path / f"x.{letter}").touch()
    list_images(tmp_path)
    assert f"{tmp_path}: 9 files are no images" in caplog.text
    assert caplog.text.rstrip().endswith("(.b, .c, .d, .e, .f, .g, .h, .i)")


def test_a_folder_that_cannot_be_looked_into_is_left_out_with_a_warning(
    tmp_path, monkeypatch, caplog
):
    for name in ("open", "shut"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    scan = os.scandir

    def refuse(place):
        if str(place).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(place))
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)
    assert list_images(tmp_path) == [tmp_path / "open" / "a.png"]
    assert f"Cannot look into {tmp_path / 'shut'} (Permission denied)" in caplog.text


def test_spread_paths_are_evenly_apart():
    paths = [Path(str(i)) for i in range(10)]
    assert spread_paths(paths, 4) == [paths[i] for i in (0, 2, 5, 7)]
    for count in (None, 10, 11):
        assert spread_paths(paths, count) == paths


def test_opacity_of_a_batch_has_whole_pictures_beside_clear_ones():
    pixels, alpha = torch.zeros(3, 2, 5), torch.rand(1, 2, 5)
    whole, clear = LoadedImage(pixels, None), LoadedImage(pixels, alpha)
    assert opacity([whole, whole]) is None
    for batch in ([whole, clear], [clear, whole], [clear]):
        wanted = [torch.ones(1, 2, 5) if each is whole else alpha for each in batch]
        found = opacity(batch)
        assert found is not None
        assert torch.equal(found, torch.stack(wanted))


def test_the_central_square_of_a_file(tmp_path):
    image = torch.zeros(3, 8, 24)
    image[0, :, 8:16] = 1
    save_image(image, tmp_path / "a.png")
    square = load_square(tmp_path / "a.png", 8)
    assert square.shape == (1, 3, 8, 8)
    assert square[:, 0].min() == 1
    assert load_square(tmp_path / "a.png", 4).shape == (1, 3, 4, 4)


def test_a_large_jpeg_that_will_be_shrunk_is_read_at_twice_that_size_or_more(tmp_path, monkeypatch):
    monkeypatch.setattr(images_module, "_MOST_READ_WHOLE", 400 * 240 - 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400 * 240 // 2 - 1)
    Image.new("RGB", (400, 240), "red").save(tmp_path / "a.jpg")
    for long_side_px, size in ((50, (60, 100)), (51, (120, 200)), (101, (240, 400))):
        assert image_size(tmp_path / "a.jpg", long_side_px=long_side_px) == size
        rows = open_rows(tmp_path / "a.jpg", long_side_px=long_side_px)
        assert (rows.colour.height, rows.width) == size
    monkeypatch.setattr(images_module, "_MOST_READ_WHOLE", 400 * 240)
    assert image_size(tmp_path / "a.jpg", long_side_px=50) == (240, 400)


def test_a_picture_beyond_what_pillow_opens_is_refused_where_it_cannot_be_read_small(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for suffix in (".png", ".jpg"):
        Image.new("RGB", (60, 40)).save(tmp_path / f"a{suffix}")
    with pytest.raises(ImageFileError, match=r"a\.png declares more than .* pixels"):
        image_size(tmp_path / "a.png", long_side_px=10)
    with pytest.raises(ImageFileError, match=r"a\.jpg declares more than .* pixels"):
        image_size(tmp_path / "a.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_pipe_is_read_as_the_file_is(tmp_path, monkeypatch):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def piped(path, read, **options):
        with ThreadPoolExecutor() as workers:
            workers.submit(pipe.write_bytes, path.read_bytes())
            return read(pipe, **options)

    deep = tmp_path / "deep.png"
    save_image(sixteen_bits(3)[0], deep, depth=16)
    assert torch.equal(piped(deep, load_image).pixels, load_image(deep).pixels)
    monkeypatch.setattr(images_module, "_MOST_READ_WHOLE", 2000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    for suffix in (".png", ".jpg"):
        Image.new("RGB", (120, 60)).save(tmp_path / f"a{suffix}")
    assert piped(tmp_path / "a.jpg", image_size, long_side_px=30) == (30, 60)
    with pytest.raises(ImageFileError, match=r"pipe declares more than .* pixels"):
        piped(tmp_path / "a.png", image_size, long_side_px=30)


def test_alpha_is_saved_with_png_and_lies_over_white_in_a_jpeg(tmp_path):
    image, alpha = torch.rand(3, 8, 8), torch.zeros(1, 8, 8)
    save_image(image, tmp_path / "a.png", alpha=alpha)
    save_image(image, tmp_path / "a.jpg", alpha=alpha)
    for name, mode in {"a.png": "RGBA", "a.jpg": "RGB"}.items():
        with Image.open(tmp_path / name) as saved:
            assert saved.mode == mode
    assert load_image(tmp_path / "a.jpg").pixels.min() > 0.99


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
    Image.fromarray(np.full((8, 8), 7, dtype=np.float32)).save(floating)
    return {
        text: r"not an image that can be read; save it as PNG, JPEG, WebP or TIFF, the latter "
        r"with 8 or 16 bits\.$",
        cut: r"damaged or cut short \(.*truncated",
        empty: "not an image",
        animated: r"2 frames or pages; a still picture is needed\. "
        r"Extract the frames into a folder first\.$",
        floating: "from 7 to 7",
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
    with pytest.raises(ImageFileError, match=r"is damaged|not an image"):
        load_image(path)


def test_a_place_that_cannot_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(ImageFileError, match=r"Cannot read .*Permission denied"):
        load_image(path)


def test_an_error_without_words_is_named_by_its_kind(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise EOFError

    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(ImageFileError, match=r"a\.png is damaged or cut short \(EOFError\);"):
        load_image(path)


def test_of_what_pillow_warns_of_the_size_alone_is_kept_quiet(tmp_path, monkeypatch):
    path, opened = tmp_path / "a.png", Image.open
    Image.new("RGB", (60, 40)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60 * 40 - 1)

    def complain(source: object) -> Image.Image:
        warnings.warn("something else", UserWarning, stacklevel=1)
        return opened(source)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_image(path)
    monkeypatch.setattr(Image, "open", complain)
    with pytest.warns(UserWarning, match="something else"):
        load_image(path)


def test_too_many_pixels_are_refused_before_decoding(tmp_path):
    Image.new("1", (400, 300)).save(tmp_path / "bomb.png")
    assert load_image(tmp_path / "bomb.png", max_pixels=120_000).pixels.shape == (3, 300, 400)
    with pytest.raises(ImageFileError, match=r"bomb\.png is 400x300 px"):
        load_image(tmp_path / "bomb.png", max_pixels=100_000)


def test_saving_refuses_unknown_suffixes_and_bad_places(tmp_path):
    image = torch.rand(3, 8, 8)
    with pytest.raises(ImageFileError, match="gif"):
        save_image(image, tmp_path / "a.gif")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ImageFileError, match="Cannot write"):
        save_image(image, tmp_path / "file" / "a.png")
    with pytest.raises(ShapeError, match=r"shape \(4, 8, 8\)"):
        save_image(torch.rand(4, 8, 8), tmp_path / "a.png")
    assert not list(tmp_path.glob("*.png"))


def test_one_picture_of_a_batch_is_saved_and_what_filters_leave_beyond_white_is_clamped():
    image = torch.tensor([-0.02, 0.5, 1.02]).view(1, 3, 1, 1)
    assert to_pil(image).getpixel((0, 0)) == (0, 128, 255)
    assert quantised(image, None, 65535).dtype == torch.int32
    with pytest.raises(ShapeError, match=r"shape \(2, 3, 1, 1\)"):
        to_pil(image.repeat(2, 1, 1, 1))
    with pytest.raises(ShapeError, match=r"shape \(1, 1\)"):
        to_pil(image[0, :1, 0])


@pytest.mark.parametrize(
    ("suffix", "form", "options"),
    [
        (".jpg", "JPEG", {"quality": 95, "subsampling": 0}),
        (".webp", "WEBP", {"quality": 92, "method": 4}),
    ],
)
def test_lossy_files_have_their_quality_and_full_colour(tmp_path, generator, suffix, form, options):
    image = torch.rand(3, 24, 32, generator=generator)
    save_image(image, tmp_path / f"a{suffix}")
    wanted = BytesIO()
    to_pil(image).save(wanted, format=form, icc_profile=srgb_profile(), **options)
    assert (tmp_path / f"a{suffix}").read_bytes() == wanted.getvalue()


@pytest.mark.parametrize("depth", [8, 16])
def test_a_file_is_what_its_suffix_says(tmp_path, depth):
    for suffix, start in {".png": b"\x89PNG", ".PNG": b"\x89PNG", ".tiff": b"II*\0"}.items():
        save_image(torch.rand(3, 8, 8), tmp_path / f"a{suffix}", depth=depth)
        assert (tmp_path / f"a{suffix}").read_bytes()[:4] == start


@pytest.mark.parametrize(("mode", "kept"), [("L", "RGB"), ("RGB", "RGB"), ("RGBA", "RGBA")])
def test_tiffs_of_pillow_pictures_are_in_colour_and_keep_transparency(tmp_path, mode, kept):
    save_pil(Image.new(mode, (6, 5), 60), tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as saved:
        assert (saved.mode, saved.size) == (kept, (6, 5))
        assert saved.getpixel((0, 0)) == Image.new(mode, (1, 1), 60).convert(kept).getpixel((0, 0))


@pytest.mark.parametrize("value", [255.0, -7.0, float("nan")])
def test_values_outside_the_range_are_not_saved(tmp_path, value):
    with pytest.raises(SettingsError, match="Picture holds"):
        save_image(torch.full((3, 8, 8), value), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_ends_half_way_leaves_the_old_file(tmp_path, monkeypatch, error):
    path, original = tmp_path / "a.png", Image.Image.save
    save_image(torch.rand(3, 8, 8), path)
    before = path.read_bytes()

    def fail_half_way(self: Image.Image, place: Path, **options: object) -> None:
        original(self, place, **options)
        Path(place).write_bytes(Path(place).read_bytes()[:20])
        raise error

    monkeypatch.setattr(Image.Image, "save", fail_half_way)
    with pytest.raises((ImageFileError, KeyboardInterrupt)):
        save_image(torch.rand(3, 8, 8), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(("depth", "white"), [(8, 255), (16, 65535)])
def test_values_are_rounded_to_the_nearest_level(tmp_path, suffix, depth, white):
    levels = torch.tensor([0.4, 0.6, 1.4, 99.6]).view(1, 1, 4).expand(3, 16, 4)
    save_image(levels / white, tmp_path / f"a{suffix}", depth=depth)
    found = load_image(tmp_path / f"a{suffix}").pixels * white
    assert found[0, 0].round().tolist() == [0, 1, 1, 100]


@pytest.mark.parametrize("numbered", [True, False])
def test_why_a_picture_cannot_be_written_is_told(tmp_path, monkeypatch, numbered):
    words = "No space left on device"

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, words) if numbered else OSError(words)

    monkeypatch.setattr(Image.Image, "save", fail)
    path = tmp_path / "new" / "folder" / "a.png"
    with pytest.raises(ImageFileError) as told:
        save_image(torch.zeros(3, 8, 8), path)
    wanted = f"Cannot write {path} ({words}); choose a folder that can be written."
    assert str(told.value) == wanted
    assert path.parent.is_dir()


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


def test_linked_folders_are_looked_into_once(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.png").touch()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "other")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "other")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "zoo").mkdir()
    (tmp_path / "in" / "zoo" / "b.png").touch()
    found = [tmp_path / "in" / "again" / "a.png", tmp_path / "in" / "zoo" / "b.png"]
    assert list_images(tmp_path / "in") == found


def test_hidden_files_and_folders_are_no_images(tmp_path):
    (tmp_path / ".cache").mkdir()
    for name in ("a.png", "._a.png", ".cache/b.png"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["a.png"]


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps permissions in another way")
def test_files_get_the_permissions_of_the_process_or_keep_their_own(tmp_path):
    image, path = torch.zeros(3, 8, 8), tmp_path / "a.png"
    before = os.umask(0o027)
    try:
        save_image(image, path)
        assert path.stat().st_mode & 0o777 == 0o640
        path.chmod(0o600)
        save_image(image, path)
        assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "disk" / "a.png")
    for _ in range(2):
        save_image(torch.zeros(3, 8, 8), link)
        assert link.is_symlink()
        assert load_image(tmp_path / "disk" / "a.png").pixels.shape == (3, 8, 8)
    assert len(list((tmp_path / "disk").iterdir())) == 1


def test_sizes():
    images = torch.rand(2, 3, 40, 60)
    assert resize_short_side(images, 20).shape == (2, 3, 20, 30)
    assert resize_short_side(images, 40) is images
    assert limit_long_side(images, 30).shape == (2, 3, 20, 30)
    assert limit_long_side(images, 100) is images
    assert torch.equal(center_crop(images, 32), images[..., 4:36, 14:46])
    assert center_crop(images, 40).shape == (2, 3, 40, 40)
    with pytest.raises(ShapeError, match="60x40"):
        center_crop(images, 41)
    height, width = fit_within(1000, 2000, 500_000)
    assert (height, width) == (500, 1000)
    assert fit_within(10, 20, 500_000) == (10, 20)


@pytest.mark.parametrize("turned", [False, True])
def test_no_side_shrinks_to_nothing(turned):
    def size(images):
        return tuple(images.shape[-2:][::-1] if turned else images.shape[-2:])

    line = torch.rand(1, 3, 1, 200) if turned else torch.rand(1, 3, 200, 1)
    assert size(limit_long_side(line, 20)) == (20, 1)
    assert size(resize_short_side(line.repeat_interleave(40, 3 - turned), 1)) == (5, 1)
    assert fit_within(*((1, 900) if turned else (900, 1)), 9) == ((1, 90) if turned else (90, 1))


def test_halving_weighs_by_a_triangle_two_pixels_wide():
    image = torch.tensor([1.0, 0.0, 0.0, 0.5]).expand(1, 3, 4, 4)
    wanted = torch.tensor([3 / 7, 0.5 * 3 / 7]).expand(1, 3, 2, 2)
    torch.testing.assert_close(resize(image, 2, 2), wanted)
    torch.testing.assert_close(resize(image.mT, 2, 2), wanted.mT)


def test_a_blurred_point_is_a_gaussian_and_the_border_reflects():
    image = torch.zeros(1, 2, 15, 21)
    image[0, 0, 7, 10] = 1
    image[0, 1, :, :10] = 1
    bell = [math.exp(-(k**2) / (2 * 1.5**2)) * (abs(k) <= 6) for k in range(-10, 11)]
    across = torch.tensor(bell) / sum(bell)
    found = gaussian_blur(image, 1.5)
    torch.testing.assert_close(found[0, 0], across[3:18, None] * across)
    assert found[0, 0, 7, 17] == 0 < found[0, 0, 7, 16]
    torch.testing.assert_close(gaussian_blur(image.double(), 1.5).float(), found)
    reached = torch.cat([across.cumsum(0).flip(0)[1:], torch.zeros(1)])
    torch.testing.assert_close(found[0, 1], reached.expand(15, -1))
    narrow = torch.tensor([0.0, 1.0, 0.0]).view(1, 1, 1, 3).expand(1, 1, 3, 3)
    one, two = math.exp(-1 / 18), math.exp(-4 / 18)
    wanted = (1 + 2 * two) / (1 + 2 * one + 2 * two)
    assert float(gaussian_blur(narrow, 3.0)[0, 0, 1, 1]) == pytest.approx(wanted)


def test_resizing_a_flat_picture_changes_no_colour():
    flat = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(1, 3, 33, 47)
    resized = resize_short_side(flat, 20)
    torch.testing.assert_close(resized.amax((2, 3)), resized.amin((2, 3)), rtol=0, atol=1e-6)
    assert resize(torch.tensor([-0.2, 1.2]).expand(1, 3, 4, 2), 2, 4).aminmax() == (0, 1)


def test_luminance_by_hand():
    colours = torch.eye(3).view(3, 3, 1, 1)
    wanted = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1, 1)
    torch.testing.assert_close(luminance(colours), wanted)


def test_contact_sheet_places_pictures(monkeypatch):
    monkeypatch.setattr(images_module, "_SHEET_GAP_PX", 2)
    black, gray = torch.zeros(3, 4, 4), torch.full((3, 4, 4), 0.5)
    sheet = contact_sheet([[black, gray], [gray]])
    assert sheet.shape == (3, 10, 10)
    assert sheet[0, 0, 0] == 0
    assert sheet[0, 0, 6] == 0.5
    assert sheet[0, 4, 4] == 1
    assert sheet[0, 6, 0] == 0.5
    monkeypatch.undo()
    assert contact_sheet([[black, gray]]).shape == (3, 4, 12)
    beyond = torch.tensor([-0.2, 1.2]).expand(3, 4, 2)
    assert contact_sheet([[beyond]]).aminmax() == (0, 1)
    with pytest.raises(ShapeError, match="2 different sizes"):
        contact_sheet([[black, torch.zeros(3, 5, 5)]])
