"""Black-and-white patterns as styles of the shipped bases: no step is needed, and no neon comes."""

import pytest
import torch
from samples import picture

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import SHIPPED_BASES, load_base
from metastyle_core.stylization import stylize

SIZE = 192
ROW = torch.arange(SIZE)
NOISE = torch.rand(SIZE, SIZE, generator=torch.Generator().manual_seed(0))
GRAY = picture(SIZE, SIZE, seed=4)[0].mean(0)
SCREEN = 0.5 + 0.5 * (ROW * 0.7).sin()[:, None] * (ROW * 0.7).sin()
PATTERNS = {
    "stripes of 4 px": (ROW // 4 % 2).expand(SIZE, SIZE),
    "checks": (ROW[:, None] // 8 + ROW // 8) % 2,
    "stipple": NOISE > 0.15,
    "dither": GRAY > NOISE,
    "halftone": GRAY > SCREEN,
}


@pytest.fixture(scope="module", params=list(SHIPPED_BASES))
def base(request):
    return load_base(request.param)


@pytest.mark.parametrize("name", PATTERNS)
def test_an_instant_style_of_a_pattern_is_black_and_white_and_not_blank(base, name):
    pattern = PATTERNS[name].float().expand(1, 3, SIZE, SIZE)
    settings = AdaptationSettings(steps=0, style_size_px=SIZE)
    style = adapt_to_style(base, None, [pattern], settings=settings)
    drawn = stylize(base, style, picture(SIZE, SIZE, seed=7), precision="fp32", grain=0.5)
    colour = (drawn - drawn.mean(1, keepdim=True)).abs().mean().item()
    assert 255 * colour < 12
    assert 255 * drawn.mean(1).std().item() > 20
    assert abs(drawn.mean().item() - pattern.mean().item()) < 0.2
