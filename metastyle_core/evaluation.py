"""How good a style is: a table of modes and numbers of steps.

What is measured is said in `measures`. Lower totals are better; the picture has the last
word.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from .adaptation import AdaptationSettings, adapt_to_style
from .base import Base
from .drawing import USUAL_SUPERSAMPLING
from .encoder import PerceptualEncoder
from .errors import SettingsError
from .grain import USUAL_GRAIN
from .images import resize_short_side
from .measures import measure, over_pictures, pan_errors
from .network import ADAPTATION_MODES
from .seeding import seeded
from .stylization import stylize

EVALUATION_MODES: tuple[str, ...] = (*ADAPTATION_MODES, "scratch")


@dataclass(frozen=True)
class Entry:
    """One style at one mode and number of steps.

    Attributes:
        style_name: of the style.
        mode: of adaptation, or `scratch`.
        steps: of adaptation.
        adapt_s: seconds that adaptation took.
        measures: those of `measure` over all contents, and `pan_errors` on the first.
    """

    style_name: str
    mode: str
    steps: int
    adapt_s: float
    measures: Mapping[str, float]


def evaluate(
    base: Base,
    adapt_encoder: PerceptualEncoder,
    judge: PerceptualEncoder,
    styles: Mapping[str, Tensor],
    contents: Sequence[Tensor],
    *,
    modes: Sequence[str],
    steps: Sequence[int],
    settings: AdaptationSettings,
    adapt_contents: Tensor | None = None,
    on_picture: Callable[[str, str, int, list[Tensor]], None] | None = None,
) -> Iterator[Entry]:
    """Adapt every style in every mode with every number of steps, and measure.

    Args:
        base: the base.
        adapt_encoder: of the loss while adapting.
        judge: of the metric.
        styles: name to (1, 3, H, W), at the size at which they are adapted to; they are
            measured at that of the contents.
        contents: (1, 3, H, W) pictures that adaptation does not see.
        modes: of `EVALUATION_MODES`. `scratch` is the same network with random
            weights, all of which adapt.
        steps: numbers of steps, each with a schedule of its own.
        settings: everything else about adaptation.
        adapt_contents: (N, 3, H, W) to adapt on; None takes the built-in ones.
        on_picture: told style, mode, steps and the stylized contents.

    Yields:
        One entry per style, mode and number of steps, as soon as it is known.
    """
    for name, style_image in styles.items():
        for mode in modes:
            start, mode_settings = _start(base, mode, settings)
            for count in steps:
                began_s = time.monotonic()
                adapted = adapt_to_style(
                    start,
                    adapt_encoder,
                    [style_image],
                    adapt_contents,
                    replace(mode_settings, steps=count),
                    name=name,
                )
                adapt_s = time.monotonic() - began_s
                draw = partial(stylize, start, adapted, precision="fp32")
                as_stills = partial(
                    draw,
                    grain=USUAL_GRAIN,
                    abstraction=settings.abstraction,
                    supersampling=USUAL_SUPERSAMPLING,
                )
                pictures = [as_stills(content) for content in contents]
                if on_picture is not None:
                    on_picture(name, mode, count, pictures)
                measured = [
                    measure(judge, picture, content, _seen_with(style_image, content))
                    for picture, content in zip(pictures, contents, strict=True)
                ]
                measures = over_pictures(measured) | pan_errors(draw, contents[0])
                yield Entry(name, mode, count, adapt_s, measures)


def _seen_with(style: Tensor, content: Tensor) -> Tensor:
    return resize_short_side(style, min(content.shape[-2:]))


def _start(base: Base, mode: str, settings: AdaptationSettings) -> tuple[Base, AdaptationSettings]:
    if mode != "scratch":
        if mode not in ADAPTATION_MODES:
            raise SettingsError(f"mode is '{mode}'; choose {', '.join(EVALUATION_MODES)}.")
        return base, replace(settings, mode=mode)
    with seeded(settings.seed):
        network = base.network.untrained()
    network.requires_grad_(False).to(base.device)
    random_base = Base(network, None, sha256="random", training={})
    return random_base, replace(
        settings, mode="full", initialisation="fixed", learning_rate=settings.learning_rate or 1e-3
    )


def summarise(entries: Sequence[Entry]) -> list[dict[str, object]]:
    """Geometric means over styles, one row per mode and number of steps, in order met."""
    groups: dict[tuple[str, int], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.mode, entry.steps), []).append(entry)
    return [
        {
            "mode": mode,
            "steps": steps,
            "styles": len(group),
            **over_pictures([entry.measures for entry in group]),
            "adapt_s": sum(e.adapt_s for e in group) / len(group),
        }
        for (mode, steps), group in groups.items()
    ]
