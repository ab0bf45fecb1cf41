"""Brushwork: how much the strokes of a painting show, and how many touches a picture gets for it.

Van Gogh's sky is all strokes, Caravaggio's skin has none. What tells them apart is the calmest part
of a painting: where nothing is depicted, strokes alone are left. Small figures that stand close
together, as Bosch's do, are taken for strokes.
"""

from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor

from .flow import averaged
from .images import luminance
from .style_pictures import StylePicture

# Strokes lie between these means, and show in windows of so many pixels.
_FINER_PX, _COARSER_PX, _WINDOW_PX = 5, 9, 33
# The share of windows that is calm, and of pixels below a painting's darkest tone and above its
# lightest.
_CALM, _ENDS = 0.2, (0.01, 0.99)
# Deviations of strokes, relative to the range of tones: Caravaggio and Hokusai lie below the first,
# Cézanne, Gauguin and Munch above the second.
_SMOOTH, _PAINTERLY = 0.006, 0.016
_EACH_PX = 4  # of windows, which overlap
_BEARS_ALL_PX = 576  # the short side from which on a picture bears all touches
# What is flatter has no strokes to see.
_LEAST_RANGE = 2 / 255
_Amount = TypeVar("_Amount", float, Tensor)


def brushwork_of(pictures: Sequence[StylePicture]) -> float:
    """How much strokes show in the pictures of a style, by those that are as fine as touches.

    Args:
        pictures: at least one, at the size at which the style is read.

    Returns:
        The mean over pictures, from 0 for smooth ones to 1.
    """
    return sum(map(_brushwork_of_one, pictures)) / len(pictures)


def _brushwork_of_one(picture: StylePicture) -> float:
    tones = luminance(picture.pixels)
    seen = tones if picture.mask is None else tones[picture.mask > 0]
    darkest, lightest = seen.flatten().quantile(tones.new_tensor(_ENDS)).tolist()
    if lightest - darkest < _LEAST_RANGE:
        return 0.0
    octave = averaged(tones, _FINER_PX) - averaged(tones, _COARSER_PX)
    strokes = _each_window(octave.square())
    if picture.mask is not None:
        counting = _each_window(picture.mask)
        strokes = strokes[counting >= 0.5 * counting.amax()]
    calm = float(strokes.flatten().quantile(_CALM).sqrt()) / (lightest - darkest)
    return min(max((calm - _SMOOTH) / (_PAINTERLY - _SMOOTH), 0.0), 1.0)


def _each_window(values: Tensor) -> Tensor:
    """Means over windows of (1, 1, H, W)."""
    return averaged(values, _WINDOW_PX)[..., ::_EACH_PX, ::_EACH_PX]


def brushwork_at(brushwork: float, short_px: float) -> float:
    """What is left of a style's brushwork in a small picture, since touches have a size in pixels.

    Args:
        brushwork: of the style, [0, 1].
        short_px: the short side at which the picture is drawn.
    """
    return brushwork * min(1.0, short_px / _BEARS_ALL_PX)


def in_brushwork(amount: _Amount, brushwork: float) -> _Amount:
    """An amount of grain or abstraction, in a style whose strokes show so much.

    Smooth styles get few touches, and all of them yet where all are asked for.

    Args:
        amount: [0, 1], as it is asked for.
        brushwork: [0, 1]; 1 gives the amount back.

    Returns:
        The amount that is drawn with, [0, 1].
    """
    return amount * (brushwork + (1 - brushwork) * amount * amount)
