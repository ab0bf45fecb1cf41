"""Brushwork: which pictures show their strokes, and how many touches a style gets for it."""

import pytest
import torch
from samples import picture
from torch import Generator

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.brushwork import brushwork_at, brushwork_of, in_brushwork
from metastyle_core.errors import SettingsError
from metastyle_core.grain import grain_relief, smooth_noise
from metastyle_core.style_pictures import StylePicture, style_pictures
from metastyle_core.touches import in_touches

SIDES = (160, 200)


def strokes(amount=1.0):
    """A picture with tones of touches all over it, (1, 3, H, W)."""
    smooth = 0.2 + 0.6 * picture(*SIDES)
    return smooth + amount * in_touches(smooth, grain_relief(*SIDES, 0), 0.0)[1]


def brushwork(*pictures):
    return brushwork_of([StylePicture(each) for each in pictures])


def test_smooth_pictures_have_none_and_painted_ones_all():
    assert brushwork(torch.full((1, 3, *SIDES), 0.3)) == 0
    assert brushwork(picture(*SIDES)) == 0
    assert brushwork(strokes()) == 1
    assert 0 < brushwork(strokes(0.2)) < brushwork(strokes(0.4)) < 1


def test_a_sharp_contour_or_fine_noise_alone_is_no_brushwork():
    contour = torch.ones(1, 3, *SIDES) * (torch.arange(SIDES[1]) < 77)
    assert brushwork(contour) == 0
    noise = torch.randn(1, 3, *SIDES, generator=Generator().manual_seed(0))
    assert brushwork((picture(*SIDES) + 0.02 * noise).clamp(0, 1)) < 0.1


def test_detail_in_one_half_leaves_a_calm_one():
    detail = 0.2 * smooth_noise(*SIDES, 6, Generator().manual_seed(0))
    half = torch.arange(SIDES[1]) < SIDES[1] // 2
    assert brushwork((0.5 + detail).expand(1, 3, -1, -1).clamp(0, 1)) == 1
    assert brushwork((picture(*SIDES) + detail * half).clamp(0, 1)) == 0


def test_faded_reproductions_have_as_much():
    assert brushwork(0.4 + 0.2 * strokes(0.3)) == pytest.approx(brushwork(strokes(0.3)), abs=1e-3)


def test_of_several_pictures_it_is_the_mean():
    pair = (picture(*SIDES), strokes(0.3))
    assert brushwork(*pair) == pytest.approx(sum(map(brushwork, pair)) / 2)


def test_only_what_a_mask_shows_counts():
    left = (torch.arange(SIDES[1]) < SIDES[1] // 2).expand(1, 1, *SIDES).float()
    both = torch.lerp(picture(*SIDES), strokes(), left)
    of_left, of_right = (
        brushwork_of(style_pictures([both], [mask], 32)) for mask in (left, 1 - left)
    )
    assert (of_left, of_right) == (1, 0)


@pytest.mark.parametrize("of_style", [0.0, 0.4, 1.0])
def test_amounts_grow_from_none_to_all_in_every_style(of_style):
    amounts = torch.linspace(0, 1, 21)
    found = in_brushwork(amounts, of_style)
    assert (found[0], found[-1]) == (0, 1)
    assert (found.diff() > 0).all()
    assert (found <= amounts).all()
    assert in_brushwork(0.5, of_style) == pytest.approx(float(found[10]))


def test_full_brushwork_leaves_amounts_and_less_of_it_lowers_them():
    assert in_brushwork(0.3, 1.0) == 0.3
    assert in_brushwork(0.3, 0.0) < in_brushwork(0.3, 0.5) < 0.3


def test_small_pictures_bear_less():
    found = [brushwork_at(0.8, short_px) for short_px in (0, 288, 576, 2000)]
    assert found == pytest.approx([0, 0.4, 0.8, 0.8])


def test_a_style_keeps_what_was_measured_or_is_said(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=SIDES[0])
    smooth, painted = (
        adapt_to_style(random_base, None, [each], settings=settings)
        for each in (picture(*SIDES), strokes())
    )
    assert (smooth.brushwork, painted.brushwork) == (0, 1)
    said = AdaptationSettings(steps=0, style_size_px=SIDES[0], brushwork=0.25)
    assert adapt_to_style(random_base, None, [strokes()], settings=said).brushwork == 0.25
    with pytest.raises(SettingsError, match="brushwork is 1"):
        AdaptationSettings(brushwork=1.5)
