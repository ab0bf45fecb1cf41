"""Large pictures on the command line: from file to file in strips, within a limit of memory."""

from argparse import Namespace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from samples import picture

from metastyle_core import images
from metastyle_core.cli import large, main
from metastyle_core.errors import ImageFileError, SettingsError
from metastyle_core.images import image_size, load_image, open_rows, save_image
from metastyle_core.large_files import open_within
from metastyle_core.tiling import Strips

HEIGHT, WIDTH = 96, 84


@pytest.fixture
def painting(tmp_path) -> Path:
    path = tmp_path / "painting.png"
    save_image(0.2 + 0.5 * picture(72, 64, seed=2)[0], path)
    return path


@pytest.fixture
def draw(tmp_path, painting, base_file):
    """Stylize a file with some options into another; gives what the latter holds."""

    def run(source: Path, name: str, *options: str):
        target = tmp_path / "out" / name
        command = ["stylize", str(source), "--style", str(painting), "-o", str(target)]
        command += ["--overwrite", "--precision", "fp32", *options]
        assert main(command) == 0
        return load_image(target)

    return run


@pytest.fixture
def in_strips(monkeypatch):
    """Has every picture count as large, and cuts it into strips."""

    def switch() -> None:
        monkeypatch.setattr(large, "_LARGE_PX", 1000)
        monkeypatch.setattr(large, "Strips", partial(Strips, above_px=0, strip_px=8 * WIDTH))

    return switch


def noisy(channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(channels, HEIGHT, WIDTH, generator=generator)


@pytest.mark.parametrize(
    ("name", "target", "options"),
    [
        ("plain.png", "a.png", []),
        ("plain.png", "a.tif", ["--strength", "0.5", "--grain", "0.5"]),
        ("plain.png", "a.png", ["--strength", "0"]),
        ("turned.jpg", "a.webp", ["--colour", "match"]),
        ("alpha.png", "a.png", ["--colour", "photograph"]),
        ("alpha.png", "a.jpg", []),
        ("deep.png", "a.png", []),
        ("deep.png", "a.tif", ["--seamless", "both", "--depth", "8"]),
        ("plain.png", "a.png", ["--mask", "mask.png", "--brush", "4"]),
        ("alpha.png", "a.png", ["--max-size", "80"]),
        ("turned.jpg", "a.png", ["--max-size", "64"]),
    ],
    ids=str,
)
def test_files_come_out_as_they_do_whole(tmp_path, draw, in_strips, name, target, options):
    save_image(noisy(), tmp_path / "plain.png")
    save_image(noisy(), tmp_path / "deep.png", depth=16)
    alpha = (noisy(1) * 1.5 - 0.5).clamp(0, 1)
    save_image(noisy(), tmp_path / "alpha.png", alpha=alpha)
    exif = Image.Exif()
    exif[0x0112], exif[0x8298] = 6, "Mine"
    shown = Image.fromarray(noisy().mul(255).byte().permute(1, 2, 0).numpy())
    shown.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    save_image(picture(HEIGHT // 2, WIDTH // 2)[0], tmp_path / "mask.png")
    options = [str(tmp_path / o) if o == "mask.png" else o for o in options]
    whole = draw(tmp_path / name, target, *options)
    in_strips()
    cut = draw(tmp_path / name, target, *options)
    assert cut.pixels.shape == whole.pixels.shape
    # Lossy formats may move a level of the drawing by some more.
    limit = 2 / 255 if target.endswith(("png", "tif")) else 6 / 255
    assert float((cut.pixels - whole.pixels).abs().max()) <= limit
    assert (cut.alpha is None) == (whole.alpha is None)
    if cut.alpha is not None:
        torch.testing.assert_close(cut.alpha, whole.alpha, rtol=0, atol=1.01 / 255)
    assert (cut.depth, cut.metadata) == (whole.depth, whole.metadata)


def test_a_limit_of_memory_moves_what_does_not_fit_into_files(
    tmp_path, draw, in_strips, monkeypatch
):
    save_image(noisy(), tmp_path / "plain.png")
    whole = draw(tmp_path / "plain.png", "a.png", "--supersampling", "1")
    in_strips()
    monkeypatch.setattr(large, "_MEGABYTE", 1100)
    monkeypatch.setattr(large, "_LARGE_PX_WITHIN_LIMIT", 1000)
    monkeypatch.setattr(large, "_SMALLEST_STRIP_PX", 64)
    used = []

    def noting(*arguments):
        used.append(large_strips(*arguments))
        return used[-1]

    large_strips = large.strips_within
    monkeypatch.setattr(large, "strips_within", noting)
    cut = draw(tmp_path / "plain.png", "a.png", "--max-memory", "850", "--supersampling", "1")
    assert used[0].folder == tmp_path / "out"
    assert float((cut.pixels - whole.pixels).abs().max()) <= 2 / 255
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_strips_fit_the_memory_that_there_is():
    folder = Path("somewhere")

    def within(height, width, *limits, times=1):
        drawn = (times * height, times * width)
        return large.strips_within((height, width), drawn, *limits, folder)

    assert within(3000, 4000, 8, None) == Strips()
    assert within(3000, 4000, 8, 1550) == Strips()
    assert within(3000, 4000, 16, 1700).folder is None
    assert within(3000, 4000, 16, 1300).folder == folder
    small = within(8000, 2000, 8, 180)
    assert small.folder == folder
    assert small.strip_px < Strips().strip_px
    with pytest.raises(SettingsError, match=r"12500x8000 px takes at least 9\d\d MB\. Give"):
        within(8000, 12500, 8, 512)
    # Fine strokes, for which a picture is drawn at a size that is not its own.
    assert within(3000, 4000, 8, 1550, times=2).folder == folder
    assert within(3000, 4000, 8, 6000, times=2) == Strips()
    with pytest.raises(SettingsError, match=r"12500x2000 px takes at least 6\d\d MB\. Give"):
        within(2000, 12500, 8, 512, times=4)


@pytest.mark.parametrize(
    ("options", "factor"),
    [
        ([], 1.5),
        (["--supersampling", "1"], 1),
        (["--brush", "0.381"], 2),
        (["--brush", "2"], 1.5),
        (["--brush", "0.381", "--strength", "0"], 1),
    ],
)
def test_the_limit_of_memory_goes_by_the_size_that_strokes_ask_for(
    tmp_path, draw, monkeypatch, options, factor
):
    save_image(noisy(), tmp_path / "plain.png")
    sizes = []

    def noting(own, drawn, *_):
        sizes.append((own, drawn))
        return Strips()

    monkeypatch.setattr(large, "strips_within", noting)
    monkeypatch.setattr(large, "_LARGE_PX_WITHIN_LIMIT", HEIGHT * WIDTH - 1)
    draw(tmp_path / "plain.png", "a.png", "--max-memory", "600", "--style-size", "64", *options)
    assert sizes == [((HEIGHT, WIDTH), (round(factor * HEIGHT), round(factor * WIDTH)))]


@pytest.mark.parametrize(
    ("brush", "supersampling", "limit", "wanted"),
    [
        (None, None, 600, True),
        (None, 1.0, 600, False),
        (None, None, None, False),
        (1.0, 1.0, None, False),
        (1.0, 1.0, 600, True),
    ],
)
def test_what_is_drawn_larger_may_make_a_picture_large(
    tmp_path, monkeypatch, brush, supersampling, limit, wanted
):
    save_image(noisy(), tmp_path / "plain.png")
    monkeypatch.setattr(large, "_LARGE_PX_WITHIN_LIMIT", 2 * HEIGHT * WIDTH)
    arguments = Namespace(
        refine=0, max_size=None, max_memory=limit, brush=brush, supersampling=supersampling
    )
    assert large.is_large(arguments, tmp_path / "plain.png") == wanted


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--brush", "0"], "got 0; a number above 0 is needed"),
        (["--brush", "-1"], "got -1; a finite number"),
        (["--brush", "nan"], "got nan; a finite number"),
        (["--max-memory", "100"], "got 100; 512 MB are the least"),
        (["--max-memory", "many"], "got 'many'; a whole number"),
    ],
)
def test_bad_numbers_get_one_line(tmp_path, painting, capsys, options, words):
    command = ["stylize", str(painting), "--style", "munch_the_scream", "-o", str(tmp_path / "o")]
    with pytest.raises(SystemExit):
        main([*command, *options])
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert words in told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--brush", "500"],
            "A brush of 500 draws this picture of 64x72 px at a short side of 1 px",
        ),
        (["--max-memory", "600", "--refine", "3"], "cannot be used together"),
    ],
)
def test_what_cannot_be_drawn_gets_one_line(tmp_path, painting, capsys, options, words):
    command = ["stylize", str(painting), "--style", "munch_the_scream", "-o", str(tmp_path / "o")]
    assert main([*command, *options]) == 2
    told = capsys.readouterr().err.strip()
    assert words in told
    assert "\n" not in told


def test_jpegs_beyond_the_limit_are_read_small_where_they_will_be_shrunk(tmp_path, monkeypatch):
    path = tmp_path / "huge.jpg"
    Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (400, 2))).save(path)
    Image.open(path).convert("RGB").save(tmp_path / "huge.png")
    monkeypatch.setattr(images, "MAX_PIXELS", 100_000)
    monkeypatch.setattr(images, "_MOST_READ_WHOLE", 50_000)
    with pytest.raises(ImageFileError, match="512x400 px, more than 100,000"):
        open_rows(path)
    assert image_size(path, long_side_px=100) == (200, 256)
    shrunk = open_within(path, 100)
    assert (shrunk.colour.height, shrunk.width) == (78, 100)
    with pytest.raises(ImageFileError, match="more than 100,000"):
        open_within(tmp_path / "huge.png", 100)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 90_000)  # Pillow refuses twice as many
    assert open_within(path, 100).width == 100
    for name in ("huge.jpg", "huge.png"):
        with pytest.raises(ImageFileError, match="declares more than"):
            open_rows(tmp_path / name)


def test_a_style_is_read_at_the_size_of_what_is_shrunk(tmp_path, painting, monkeypatch):
    path = tmp_path / "huge.jpg"
    save_image(picture(200, 256)[0], path)
    monkeypatch.setattr(images, "MAX_PIXELS", 30_000)
    monkeypatch.setattr(images, "_MOST_READ_WHOLE", 20_000)
    target = tmp_path / "small.png"
    command = ["stylize", str(path), "--style", str(painting), "-o", str(target)]
    assert main([*command, "--max-size", "64"]) == 0
    assert image_size(target) == (50, 64)
