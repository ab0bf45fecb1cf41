"""The families of style transfer behind one interface: prepare for a style, then stylize.

`prepare` is what a new style costs once, `Prepared.stylize` what each picture costs.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Generator, Tensor

from benchmarks.adain import AdainDecoder, stylize_adain
from benchmarks.gatys import optimise_picture
from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import Base
from metastyle_core.content import own_contents
from metastyle_core.encoder import PerceptualEncoder
from metastyle_core.finishing import AS_DRAWN
from metastyle_core.network import StylizationNetwork
from metastyle_core.presets import load_preset
from metastyle_core.refinement import RefinementSettings, refine
from metastyle_core.seeding import seeded
from metastyle_core.style import AdaptedStyle, save_style
from metastyle_core.style_distance import StyleDistance
from metastyle_core.stylization import stylize, stylize_as_usual

_MANY_STEPS = 200
_CONTROL_STEPS = 100


@dataclass(frozen=True)
class Prepared:
    """A method ready for one style.

    Attributes:
        stylize: (1, 3, H, W) to the same shape, [0, 1].
        style_bytes: size of what must be kept to use the style again; None where the
            picture of the style itself is kept.
        frame: as `stylize`, for the frames of a film; None where they are drawn alike.
    """

    stylize: Callable[[Tensor], Tensor]
    style_bytes: int | None
    frame: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Attributes:
        name: as in the table.
        prepare: a style picture (1, 3, H, W) to a ready method.
        real_time: whether a picture takes one pass, so that video makes sense.
        slow: whether a style takes minutes, so that it is measured on few styles.
        style_px: side at which it reads the style picture, where that is not the pictures' own.
    """

    name: str
    prepare: Callable[[Tensor], Prepared]
    real_time: bool = True
    slow: bool = False
    style_px: int | None = None


def untouched() -> Method:
    """The content itself: the floor of style, the ceiling of content."""
    return Method("content itself", lambda _: Prepared(lambda image: image, None))


def gatys(
    encoder: PerceptualEncoder,
    iterations: int,
    distance: StyleDistance,
    *,
    start: Method | None = None,
) -> Method:
    """Optimisation of each picture, from the content or from another method's output."""

    def prepare(style_image: Tensor) -> Prepared:
        ready = start.prepare(style_image) if start else None

        def run(image: Tensor) -> Tensor:
            begin = ready.stylize(image) if ready else None
            return optimise_picture(
                encoder, image, style_image, iterations=iterations, distance=distance, start=begin
            )

        return Prepared(run, None)

    name = f"Gatys, {distance}, {iterations} iterations"
    name += f" from {start.name}" if start else ""
    return Method(name, prepare, real_time=False, slow=True)


def adapted(
    name: str,
    base: Base,
    encoder: PerceptualEncoder | None,
    settings: AdaptationSettings,
    contents: Tensor | None,
    *,
    plain: bool = False,
) -> Method:
    """A base adapted to the style: ours, the control, or a network from scratch.

    Args:
        name: of the row.
        base: where to start.
        encoder: of the perceptual loss; None for 0 steps.
        settings: of the adaptation.
        contents: to adapt on; None takes the photographs that ship.
        plain: draw without grain, abstraction and the painting's palette, for networks that learned
            without; they adapt without abstraction then too.
    """
    if plain:
        settings = replace(settings, abstraction=0.0)

    def prepare(style_image: Tensor) -> Prepared:
        style = adapt_to_style(base, encoder, [style_image], contents, settings)
        if plain:
            draw = partial(stylize, base, style, colouring=AS_DRAWN)
            return Prepared(draw, _saved_bytes(style))
        return Prepared(
            lambda image: stylize_as_usual(base, style, image),
            _saved_bytes(style),
            lambda image: stylize(base, style, image),
        )

    slow = settings.steps > _MANY_STEPS
    return Method(name, prepare, slow=slow, style_px=settings.style_size_px)


def adapted_on_each(base: Base, encoder: PerceptualEncoder, settings: AdaptationSettings) -> Method:
    """A base adapted to the style anew on crops of each photograph that it is to draw."""

    def prepare(style_image: Tensor) -> Prepared:
        def run(image: Tensor) -> Tensor:
            generator = Generator().manual_seed(settings.seed)
            count, size_px = settings.content_count, settings.content_size_px
            contents = own_contents([image], count, size_px, generator)
            style = adapt_to_style(base, encoder, [style_image], contents, settings)
            return stylize_as_usual(base, style, image)

        return Prepared(run, None)

    name = f"MetaStyle, {settings.mode}, {settings.steps} steps on the photograph itself"
    return Method(name, prepare, real_time=False, style_px=settings.style_size_px)


def refined(start: Method, encoder: PerceptualEncoder, settings: RefinementSettings) -> Method:
    """What another method drew, refined with steps on its pixels."""

    def prepare(style_image: Tensor) -> Prepared:
        ready = start.prepare(style_image)

        def run(image: Tensor) -> Tensor:
            return refine(encoder, image, ready.stylize(image), [style_image], settings)

        return Prepared(run, None)

    name = f"{start.name}, refined, {settings.steps} steps"
    return Method(name, prepare, real_time=False, style_px=start.style_px)


def johnson(
    encoder: PerceptualEncoder, settings: AdaptationSettings, contents: Tensor | None, steps: int
) -> Method:
    """Johnson et al. 2016: the same network, trained from scratch for one style."""
    with seeded(settings.seed):
        network = StylizationNetwork().requires_grad_(False)
    scratch = replace(
        settings,
        mode="full",
        initialisation="fixed",
        steps=steps,
        learning_rate=1e-3,
        loss=replace(settings.loss, content_distance="plain"),
    )
    base = Base(network, None, sha256="random", training={})
    return adapted(f"Johnson, {steps} steps", base, encoder, scratch, contents, plain=True)


def control(
    base: Base, encoder: PerceptualEncoder, settings: AdaptationSettings, contents: Tensor | None
) -> Method:
    """A base trained without an inner loop, drawn as ours where it reads grain as ours does."""
    chosen = replace(settings, mode="norm", steps=_CONTROL_STEPS)
    name = f"no-meta control, norm, {_CONTROL_STEPS} steps"
    plain = not base.network.reads_grain
    return adapted(name, base, encoder, chosen, contents, plain=plain)


def adain(encoder: PerceptualEncoder, decoder: AdainDecoder) -> Method:
    """AdaIN with our decoder."""

    def prepare(style_image: Tensor) -> Prepared:
        return Prepared(lambda image: stylize_adain(encoder, decoder, image, style_image), None)

    return Method("AdaIN", prepare)


def style_on(base: Base, preset: str, painting: Tensor) -> AdaptedStyle:
    """A shipped style, or where it is of another base an instant one of a painting."""
    style = load_preset(preset)
    if style.base_sha256 == base.sha256:
        return style
    return adapt_to_style(base, None, [painting], settings=AdaptationSettings(steps=0))


def metastyle(
    base: Base,
    encoder: PerceptualEncoder,
    settings: AdaptationSettings,
    contents: Tensor | None,
    modes: Sequence[str],
    steps: Sequence[int],
) -> list[Method]:
    """Ours: instant, and every mode at every number of steps above 0."""
    instant = replace(settings, mode="norm", steps=0)
    methods = [adapted("MetaStyle, instant", base, None, instant, None)]
    for mode in modes:
        for count in steps:
            chosen = replace(settings, mode=mode, steps=count)
            methods.append(
                adapted(f"MetaStyle, {mode}, {count} steps", base, encoder, chosen, contents)
            )
    return methods


def _saved_bytes(style: AdaptedStyle) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "style.safetensors"
        save_style(style, path, half=True)
        return path.stat().st_size
