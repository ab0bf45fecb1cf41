"""The arithmetic of styles: mixed by shares, added by amounts, passing over frames.

Two sums are asked for, and what their weights mean differs:

    mix_styles   sum of w_i * style_i / sum of w_i             shares of a whole
    add_styles   base + sum of w_i * (style_i - base)          amounts of a difference

Where the weights add up to 1 both are the same. In a mixture the base cancels out, so that it
is not needed; a sum may lean towards the base or go beyond a style, and so scales one as well.
Over the frames of a clip a `StyleSchedule` mixes.

Styles of different modes mix in the narrowest mode that holds them all. `norm` and `low_rank`
do so as they are; for `decoder` and `full` the narrower styles are `widened` first, with what
the base has in place of what they leave alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Size

from .base import Base
from .colour import Palette
from .errors import BaseMismatchError, SettingsError
from .low_rank import add_up, is_update, merge_updates, shapes_without_rank, update_shapes
from .network import ADAPTATION_MODES, AdaptationMode, adapted_parameter_names
from .style import AdaptedStyle, check_style

Curve = Literal["linear", "smooth"]
CURVES: tuple[Curve, ...] = ("linear", "smooth")
Route = Literal["once", "there_and_back"]
ROUTES: tuple[Route, ...] = ("once", "there_and_back")


def mix_styles(styles: Sequence[AdaptedStyle], weights: Sequence[float]) -> AdaptedStyle:
    """Average styles of one base: sum of w_i * style_i / sum of w_i.

    Args:
        styles: at least one, of one mode or of `norm` and `low_rank`; others are `widened`
            before. Tensors may lie on different devices.
        weights: one finite number per style, used as shares of their sum.

    Returns:
        The mixture, on the device of the first style.

    Raises:
        SettingsError: no style, another number of weights, weights that are not finite
            or add up to 0, or styles of modes that do not mix as they are.
        BaseMismatchError: the styles belong to different bases.
    """
    _require_weights(styles, weights)
    shares = shares_of_sum(weights)
    _require_alike(styles)
    mixed = add_up([style.fast_weights for style in styles], shares)
    parts = [f"{100 * s:.0f}% {style.name}" for s, style in zip(shares, styles, strict=True)]
    return AdaptedStyle(
        fast_weights=mixed,
        base_sha256=styles[0].base_sha256,
        mode=common_mode(styles),
        name=" + ".join(parts),
        settings={"blend": parts, **_mean_settings(styles, shares)},
        palette=_mean_palette(styles, shares),
    )


def add_styles(
    base: Base, styles: Sequence[AdaptedStyle], weights: Sequence[float]
) -> AdaptedStyle:
    """Add up styles as differences from the base: base + sum of w_i * (style_i - base).

    Weights that sum to 1 mix the styles, smaller sums lean towards the base, larger
    ones exaggerate, negative ones push away.

    Args:
        base: the base of all the styles.
        styles: at least one, of any modes; tensors may lie on different devices.
        weights: one finite number per style.

    Returns:
        The sum, in the narrowest mode that holds it, on the device of the first style.

    Raises:
        SettingsError: no style, another number of weights, or a weight not finite.
        BaseMismatchError: a style belongs to another base.
        CheckpointError: the tensors of a style are not those its mode needs.
    """
    _require_weights(styles, weights)
    mode = common_mode(styles)
    whole = [widened(base, style, mode).fast_weights for style in styles]
    device = next(iter(whole[0].values())).device
    own = dict(base.network.named_parameters())
    names = adapted_parameter_names(base.network, mode)
    origin = {name: own[name].detach().to(device) for name in names}
    # The base takes what the weights leave of 1, which is the same sum.
    added = add_up([origin, *whole], [1 - sum(weights), *weights])
    parts = [f"{w:g} {s.name}" for w, s in zip(weights, styles, strict=True)]
    return AdaptedStyle(
        fast_weights=added,
        base_sha256=base.sha256,
        mode=mode,
        name=" + ".join(parts),
        settings={"blend": parts, **_mean_settings(styles, weights)},
        palette=_mean_palette(styles, weights),
    )


def _mean_settings(
    styles: Sequence[AdaptedStyle], weights: Sequence[float]
) -> dict[str, int | float]:
    """What drawing and refining ask of a style, between those of some styles, as weights say.

    That is the size, whose strokes lie between theirs in ratios, the levels and the brushwork.
    Where all weights are 0 every style counts alike.
    """
    amounts = [abs(weight) for weight in weights] if any(weights) else [1.0] * len(weights)
    total, counted = sum(amounts), list(zip(styles, amounts, strict=True))
    logs = sum(amount * math.log(style.size_px) for style, amount in counted) / total
    levels = sum(amount * style.levels for style, amount in counted) / total
    brushwork = sum(amount * style.brushwork for style, amount in counted) / total
    return {
        "style_size_px": round(math.exp(logs)),
        "levels": min(1.0, levels),
        "brushwork": min(1.0, brushwork),
    }


def _mean_palette(styles: Sequence[AdaptedStyle], weights: Sequence[float]) -> Palette | None:
    """The palette between those of some styles; none where one knows none or is taken away."""
    counting = [(s.palette, w) for s, w in zip(styles, weights, strict=True) if w]
    known = [(palette, weight) for palette, weight in counting if palette is not None]
    palettes, amounts = [palette for palette, _ in known], [weight for _, weight in known]
    if len(known) < len(counting) or min(amounts, default=0.0) < 0 or _adds_up_to_0(amounts):
        return None
    return Palette.mixed(palettes, shares_of_sum(amounts))


def scale_style(base: Base, style: AdaptedStyle, strength: float) -> AdaptedStyle:
    """Move a style towards the base (strength below 1) or beyond itself (above 1)."""
    return add_styles(base, [style], [strength])


def widened(base: Base, style: AdaptedStyle, mode: AdaptationMode) -> AdaptedStyle:
    """A style in a wider mode, which draws the same.

    Args:
        base: of the style; gives what the style leaves alone.
        style: of a mode that `mode` holds.
        mode: see `common_mode`.

    Raises:
        BaseMismatchError: the style belongs to another base.
        CheckpointError: its tensors are not those its mode needs.
    """
    check_style(style, base)
    if style.mode == mode:
        return style
    device = next(iter(style.fast_weights.values())).device
    own = {name: p.detach().to(device) for name, p in base.network.named_parameters()}
    wider = {name: own[name] for name in adapted_parameter_names(base.network, mode)}
    if mode == "low_rank":
        # Of rank 0: there is nothing to add to the kernels.
        shapes = update_shapes(own, {})
        wider |= {name: next(iter(own.values())).new_zeros(shape) for name, shape in shapes.items()}
    weights = dict(style.fast_weights)
    if mode == "full":
        weights = merge_updates(own, weights)
    return replace(style, mode=mode, fast_weights={**wider, **weights})


def growth_note(styles: Sequence[AdaptedStyle], mixed: AdaptedStyle) -> str | None:
    """One line for people where a mixture is of a wider mode than some of its styles."""
    narrower = [style for style in styles if style.mode != mixed.mode]
    if not narrower:
        return None
    least = min(narrower, key=_numbers)
    return (
        f"The mixture is of mode {mixed.mode} and holds {_numbers(mixed):,} numbers; "
        f"'{least.name}' alone is of mode {least.mode} and holds {_numbers(least):,}."
    )


def _numbers(style: AdaptedStyle) -> int:
    return sum(tensor.numel() for tensor in style.fast_weights.values())


def shares_of_sum(weights: Sequence[float]) -> list[float]:
    """Weights as shares of their sum.

    Raises:
        SettingsError: they add up to 0.
    """
    if _adds_up_to_0(weights):
        raise SettingsError(
            f"Weights are {list(weights)}, which add up to 0; shares of a sum other than 0 are "
            "needed. Change one of them."
        )
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def _adds_up_to_0(weights: Sequence[float]) -> bool:
    return abs(math.fsum(weights)) < 1e-6


def common_mode(styles: Sequence[AdaptedStyle]) -> AdaptationMode:
    """The narrowest mode that holds all of some styles."""
    modes = [style.mode for style in styles]
    if "low_rank" in modes and "decoder" in modes:
        return "full"
    return ADAPTATION_MODES[max(ADAPTATION_MODES.index(mode) for mode in modes)]


def _require_weights(styles: Sequence[AdaptedStyle], weights: Sequence[float]) -> None:
    if not styles or len(styles) != len(weights):
        raise SettingsError(
            f"Got {len(styles)} styles and {len(weights)} weights; one each is needed."
        )
    if not all(math.isfinite(weight) for weight in weights):
        raise SettingsError(f"Weights are {list(weights)}; finite numbers are needed.")


def _require_alike(styles: Sequence[AdaptedStyle]) -> None:
    first = styles[0]
    for style in styles[1:]:
        if style.base_sha256 != first.base_sha256:
            raise BaseMismatchError(
                f"Style '{style.name}' was made for base {style.base_sha256[:12]} and "
                f"'{first.name}' for {first.base_sha256[:12]}. Adapt them again on one base."
            )
    for style in styles[1:]:
        if not {style.mode, first.mode} <= {"norm", "low_rank"} and style.mode != first.mode:
            raise SettingsError(
                f"Style '{style.name}' is of mode {style.mode} and '{first.name}' of mode "
                f"{first.mode}; to mix them give the base too (the input 'model'), or mix styles "
                "of one mode."
            )
    for style in styles:
        # Of two modes only what both replace can be compared.
        other = next(each for each in styles if each.mode == style.mode)
        if _shapes(style) != _shapes(other) or _replaced(style) != _replaced(first):
            raise SettingsError(
                f"Styles '{style.name}' and '{first.name}' of mode {style.mode} and {first.mode} "
                "have different tensors. Adapt one of them again."
            )


def _shapes(style: AdaptedStyle) -> Mapping[str, Size]:
    return shapes_without_rank(style.fast_weights)


def _replaced(style: AdaptedStyle) -> Mapping[str, Size]:
    return {name: shape for name, shape in _shapes(style).items() if not is_update(name)}


@dataclass(frozen=True)
class StyleSchedule:
    """Styles that pass into one another over the frames of a clip.

    Attributes:
        styles: in order of appearance, at least two of one base, of one mode or of `norm` and
            `low_rank`.
        curve: `linear` passes at one speed; `smooth` rests at each style.
        route: `once` ends at the last style; `there_and_back` returns to the first.
    """

    styles: tuple[AdaptedStyle, ...]
    curve: Curve = "linear"
    route: Route = "once"

    def __post_init__(self) -> None:
        if len(self.styles) < 2:
            raise SettingsError(f"Got {len(self.styles)} styles; a schedule needs at least 2.")
        if self.curve not in CURVES or self.route not in ROUTES:
            raise SettingsError(
                f"Got curve '{self.curve}' and route '{self.route}'; choose a curve of "
                f"{', '.join(CURVES)} and a route of {', '.join(ROUTES)}."
            )
        _require_alike(self.styles)

    @property
    def name(self) -> str:
        """The names of its styles, in order."""
        return " > ".join(style.name for style in self.styles)

    def weights(self, position: float) -> tuple[float, ...]:
        """Share of every style at a position between 0, the first frame, and 1, the last."""
        travelled = position if self.route == "once" else 1 - abs(2 * position - 1)
        place = min(max(travelled, 0.0), 1.0) * (len(self.styles) - 1)
        left = min(int(place), len(self.styles) - 2)
        share = place - left
        if self.curve == "smooth":
            share = share * share * (3 - 2 * share)
        row = [0.0] * len(self.styles)
        row[left], row[left + 1] = 1 - share, share
        return tuple(row)

    def at_frame(self, frame: int, frames: int) -> AdaptedStyle:
        """The style of one frame.

        Args:
            frame: from 0 up.
            frames: how many there are; a single one gets the first style.
        """
        row = self.weights(frame / (frames - 1) if frames > 1 else 0.0)
        present = [i for i, share in enumerate(row) if share > 0]
        mixed = mix_styles([self.styles[i] for i in present], [row[i] for i in present])
        # A palette that some frames have and others lack would flash.
        known = all(style.palette is not None for style in self.styles)
        return mixed if known else replace(mixed, palette=None)
