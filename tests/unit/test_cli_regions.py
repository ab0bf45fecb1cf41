"""`stylize --region`: several styles in one picture, and one line where that cannot be."""

import pytest
import torch
from samples import picture

from metastyle_core.cli import main
from metastyle_core.grain import USUAL_GRAIN
from metastyle_core.images import load_image, save_image


@pytest.fixture
def files(tmp_path):
    left = torch.zeros(3, 64, 96)
    left[..., :48] = 1
    pictures = {
        "photo": picture(64, 96)[0],
        "one": picture(72, 64, seed=1)[0],
        "other": picture(72, 64, seed=2)[0],
        "left": left,
        "right": 1 - left,
        "black": torch.zeros(3, 64, 96),
        "square": torch.ones(3, 64, 64),
    }
    paths = {name: tmp_path / f"{name}.png" for name in pictures}
    for name, pixels in pictures.items():
        save_image(pixels, paths[name])
    return paths


@pytest.fixture
def draw(tmp_path, files):
    def run(*options: str) -> torch.Tensor:
        output = tmp_path / "out.png"
        command = ["stylize", str(files["photo"]), "-o", str(output), "--overwrite"]
        assert main([*command, "--precision", "fp32", *options]) == 0
        return load_image(output).pixels

    return run


def test_each_style_goes_where_its_mask_is_white(files, draw):
    photo = load_image(files["photo"]).pixels
    both = ("--region", f"{files['one']}={files['left']}")
    found = draw(*both)
    assert torch.equal(found[..., 48:], photo[..., 48:])
    assert not torch.allclose(found[..., :40], photo[..., :40], atol=0.05)
    with_rest = draw(*both, "--style", str(files["other"]))
    by_masks = draw(*both, "--region", f"{files['other']}={files['right']}")
    torch.testing.assert_close(with_rest, by_masks, rtol=0, atol=1.01 / 255)
    softer = draw(*both, "--style", str(files["other"]), "--feather", "24")
    assert not torch.equal(softer, with_rest)


def test_regions_have_the_usual_grain_or_what_is_asked_for(files, draw):
    region = ("--region", f"{files['one']}={files['left']}")
    drawn = draw(*region)
    assert torch.equal(drawn, draw(*region, "--grain", f"{USUAL_GRAIN}"))
    assert (drawn - draw(*region, "--grain", "0")).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "No style is given"),
        (["--style", "{one}", "--feather", "3"], "--feather 3 has no use without --region"),
        (["--region", "{one}"], "no STYLE=MASK"),
        (["--region", "{one}={black}"], "black.png is empty"),
        (["--region", "{one}={square}"], "Mask 1 is 64x64 px and the picture 96x64 px"),
        (["--region", "{one}={left}", "--mask", "{left}"], "--mask and --region cannot be used"),
        (["--region", "{one}={left}", "--refine", "3"], "--refine and --region cannot be used"),
        (["--region", "{one}={left}", "--colour", "match"], "add --palette"),
    ],
)
def test_what_regions_cannot_do_is_one_line(tmp_path, files, capsys, options, words):
    filled = [option.format(**files) for option in options]
    assert main(["stylize", str(files["photo"]), "-o", str(tmp_path / "o.png"), *filled]) == 2
    told = capsys.readouterr().err.strip()
    assert words in told
    assert "\n" not in told


def test_a_mask_is_never_written_over(files, capsys):
    region = f"{files['one']}={files['left']}"
    command = ["stylize", str(files["photo"]), "--region", region, "-o", str(files["left"])]
    assert main([*command, "--overwrite"]) == 2
    assert "is also an input" in capsys.readouterr().err
