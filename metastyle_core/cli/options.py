"""Argument types, and the options that several commands share.

An option that sets a field of a settings class takes its name and its default from there
(`add_setting`), and `settings_from` puts the arguments together again.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, cast, get_args

from ..adaptation import AdaptationSettings
from ..base import SHIPPED_BASE, SHIPPED_BASES, base_file
from ..drawing import MOST_SUPERSAMPLING
from ..encoder import ENCODER_NAMES
from ..losses import LossSettings
from ..quality import PRESETS, Quality
from ..training.trainer import TrainerSettings

_T = TypeVar("_T", int, float)


class Settings(Protocol):
    """A frozen dataclass of settings."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


_S = TypeVar("_S", bound=Settings)


class Options(Protocol):
    """Where an option declares itself: a parser, or a group of one."""

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:  # noqa: ANN401
        """Add one option."""
        ...


class Commands(Protocol):
    """Where a command declares itself: what `ArgumentParser.add_subparsers` returns."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser:
        """Add the parser of one command."""
        ...


def positive_int(text: str) -> int:
    """A whole number from 1 up."""
    return _number(text, int, 1)


def non_negative_int(text: str) -> int:
    """A whole number from 0 up."""
    return _number(text, int, 0)


def positive_float(text: str) -> float:
    """A finite number above 0."""
    value = _number(text, float, 0.0)
    if value == 0:
        raise argparse.ArgumentTypeError("got 0; a number above 0 is needed")
    return value


def non_negative_float(text: str) -> float:
    """A finite number from 0 up."""
    return _number(text, float, 0.0)


def share(text: str) -> float:
    """A number from 0 to 1."""
    return _number(text, float, 0.0, most=1.0)


def supersampling(text: str) -> float:
    """A number that `stylize` takes as its supersampling."""
    return _number(text, float, 1.0, most=MOST_SUPERSAMPLING)


def seed(text: str) -> int:
    """A whole number from 0 up that PyTorch's generators take."""
    value = non_negative_int(text)
    if value >= 2**64:
        raise argparse.ArgumentTypeError(f"got {text}; a number below 2^64 is needed")
    return value


def _number(text: str, kind: type[_T], least: _T, most: float = math.inf) -> _T:
    try:
        value = kind(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"got '{text}'; a number is needed") from error
    if not (least <= value <= most and value < math.inf):
        bounds = f"from {least} up" if most == math.inf else f"from {least:g} to {most:g}"
        raise argparse.ArgumentTypeError(f"got {text}; a finite number {bounds} is needed")
    return value


def add_setting(
    options: Options,
    settings: type[Settings],
    option: str,
    field: str | None = None,
    *,
    kind: Callable[[str], float] | None = None,
    help: str,
    metavar: str | None = None,
) -> None:
    """Add an option for one field of a settings class, with the default that it has there.

    Args:
        options: where to add it.
        settings: the class.
        option: what users type, such as `--inner-lr`.
        field: its name in the class, where that is not the option's.
        kind: what reads the number; choices and switches are read off the field's type.
        help: the default is said behind it.
        metavar: what stands for the value in the help.
    """
    name = field or option.strip("-").replace("-", "_")
    found = settings.__dataclass_fields__[name]
    if found.type is bool:
        options.add_argument(option, dest=name, action="store_true", help=help)
        return
    default = found.default if found.default_factory is MISSING else found.default_factory()
    if default is not None:
        shown = f"{default:g}" if isinstance(default, float) else default
        help = f"{help} (default: {shown})".lstrip()
    choices = get_args(found.type) if kind is None else None
    options.add_argument(
        option, dest=name, type=kind or str, choices=choices, default=default, help=help,
        metavar=metavar,
    )  # fmt: skip


def settings_from(
    arguments: argparse.Namespace,
    settings: type[_S],
    **extra: Any,  # noqa: ANN401 - values of the class' fields
) -> _S:
    """Settings from the arguments that have the names of their fields.

    Args:
        arguments: from a parser with options of `add_setting`. A field without an argument,
            or whose argument is None, keeps its default; one that is settings itself is put
            together likewise.
        settings: the class.
        extra: values that no argument gives.

    Raises:
        SettingsError: a value is out of its range.
    """
    values = dict(extra)
    for field in fields(settings):
        if field.name in values:
            continue
        if is_dataclass(field.type):
            values[field.name] = settings_from(arguments, cast("type[Settings]", field.type))
        elif (value := getattr(arguments, field.name, None)) is not None:
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return settings(**values)


def add_base_option(parser: argparse.ArgumentParser) -> None:
    """Add `--base`."""
    parser.add_argument(
        "--base",
        type=base_file,
        default=SHIPPED_BASE,
        metavar="BASE",
        help=f"the network to draw with: a base that ships ({', '.join(SHIPPED_BASES)}) or a file; "
        "styles fit only the base that they were made on (default: main)",
    )


def add_compute_options(parser: argparse.ArgumentParser) -> None:
    """Add `--device`, `--precision` and `--seed`."""
    group = parser.add_argument_group("computing")
    group.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)"
    )
    add_setting(
        group, AdaptationSettings, "--precision",
        help="number format of the convolutions; auto is the fastest the device has",
    )  # fmt: skip
    add_setting(group, AdaptationSettings, "--seed", kind=seed, help="of everything drawn")


def add_adaptation_options(parser: argparse.ArgumentParser) -> None:
    """Add what `AdaptationSettings` holds, but for mode, steps and size of the style."""
    group = parser.add_argument_group("adaptation")
    group.add_argument(
        "--content",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="images or folders to adapt on (default: photographs that ship, and in mode norm half "
        "of the way that they lead)",
    )
    add = partial(add_setting, group, AdaptationSettings)
    add("--initialisation", help="where the style starts")
    add(
        "--rank",
        kind=positive_int,
        help="of the updates of convolutions in mode low_rank; a resumed style keeps its own",
    )
    add("--lr", "learning_rate", kind=positive_float, help="learning rate (default: by mode)")
    add("--batch", kind=positive_int, help="contents per step, fewer of larger ones")
    add(
        "--crop",
        "content_size_px",
        kind=positive_int,
        metavar="PX",
        help="short side of the contents adapted on; of a few pictures up to six times as many "
        "pixels",
    )
    add_levels_option(group)
    add(
        "--abstraction",
        kind=share,
        metavar="0..1",
        help="how far contents are painted over before the style learns to draw them: as far as "
        "what it will draw, 0 for films",
    )
    add(
        "--brushwork",
        kind=share,
        metavar="0..1",
        help="how much the strokes of the style pictures show, and so how many touches a picture "
        "gets for a grain and an abstraction below 1 (default: measured in their calm parts)",
    )
    add_loss_weights(group)


class _SetQuality(argparse.Action):
    """Sets the options that a quality stands for; those behind it on the line win."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        for name, value in asdict(PRESETS[cast(Quality, values)]).items():
            setattr(namespace, name, value)


def add_quality_option(options: Options) -> None:
    """Add `--quality`, which sets `--steps`, `--mode`, `--batch` and `--encoder`."""
    told = "; ".join(
        f"{word} is {each.steps} steps of {each.mode}" for word, each in PRESETS.items()
    )
    options.add_argument(
        "--quality",
        action=_SetQuality,
        choices=tuple(PRESETS),
        default=argparse.SUPPRESS,
        help=f"sets --steps, --mode, --batch and --encoder together: {told}. Options behind it "
        "change single ones",
    )


def add_style_size_option(options: Options, pictures: str) -> None:
    """Add `--style-size`, which follows some pictures where it is left out.

    Args:
        options: where to add it.
        pictures: whose size it follows, for the help.
    """
    options.add_argument(
        "--style-size",
        dest="style_size_px",
        type=positive_int,
        metavar="PX",
        help="the brush: pictures drawn at this short side get strokes as large as in the "
        f"painting, larger ones finer strokes (default: the short side {pictures} as it is drawn, "
        f"else {AdaptationSettings.style_size_px})",
    )


def add_levels_option(options: Options) -> None:
    """Add `--levels`."""
    add_setting(
        options,
        AdaptationSettings,
        "--levels",
        kind=share,
        metavar="0..1",
        help="how far a painting whose reproduction has faded is brought towards full tones before "
        "it becomes a style; 0 takes it as it is",
    )


def add_loss_weights(options: Options) -> None:
    """Add the weights of `LossSettings` that every loss has beside that of the content."""
    weights = {
        "--style-weight": "style against content",
        "--tv-weight": "smoothness",
        "--chroma-weight": "weight of the penalty on colour noise",
        "--detail-weight": "weight of the penalty on softness",
        "--hatching-weight": "weight of the penalty on gratings of a few pixels",
        "--blotch-weight": "weight of the penalty on fog, bands and stains: on colours that those "
        "of the photograph do not explain",
        "--palette-weight": "weight, in the style loss, of the layer that sees little but colours: "
        "below 1 a picture may hold more or less of each colour than the painting",
        "--nearest-weight": "weight, in the style loss, of places unlike any of the style",
    }
    for option, help in weights.items():
        add_setting(options, LossSettings, option, kind=non_negative_float, help=help)
    add_setting(
        options,
        LossSettings,
        "--style-scales",
        kind=positive_int,
        help="sizes at which pictures and paintings are compared, each half of the one before",
    )
    add_setting(
        options,
        LossSettings,
        "--content-distance",
        help="how pictures and photographs are compared: features of each channel standardised, so "
        "that colours and contrast are free, or plain as in the paper",
    )
    add_setting(
        options,
        LossSettings,
        "--style-distance",
        help="how pictures and paintings are compared: by the distribution of their features, or "
        "as in the paper by Gram matrices",
    )


def add_training_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the image folders and the loop's settings that all trainings share."""
    data = parser.add_argument_group("training images")
    data.add_argument("--content", type=Path, required=True, help="folder of photographs")
    data.add_argument("--style", type=Path, required=True, help="folder of paintings")
    data.add_argument(
        "--manifest", type=Path, help="CSV with columns file and source, to balance the sources"
    )
    loop = parser.add_argument_group("loop")
    loop.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    add = partial(add_setting, loop, TrainerSettings)
    add("--updates", kind=positive_int, help="updates to reach")
    add(
        "--optimizer",
        help="Muon for kernels and matrices beside Adam for the rest, or Adam for all",
    )
    add("--lr", "learning_rate", kind=positive_float, help="learning rate")
    add("--schedule", help="of the learning rate")
    add("--warmup", "warmup_updates", kind=non_negative_int, help="updates of warm-up")
    add("--decay-from", kind=non_negative_int, help="update where the cosine begins")
    add("--clip", "gradient_clip", kind=positive_float, help="largest gradient norm")
    add("--average", "average_decay", kind=non_negative_float, help="decay of the moving average")
    add("--picture-every", kind=non_negative_int, metavar="N", help="updates between pictures")
    add("--checkpoint-minutes", kind=positive_float, metavar="M", help="between checkpoints")
    add("--max-minutes", kind=non_negative_float, metavar="M", help="stop after this; 0 is never")
    loop.add_argument(
        "--resume", action="store_true", help="continue the run in the output folder, if any"
    )


def add_encoder_options(parser: argparse.ArgumentParser) -> None:
    """Add the encoder of the perceptual loss and where its weights are."""
    group = parser.add_argument_group("perceptual encoder")
    group.add_argument(
        "--encoder",
        choices=ENCODER_NAMES,
        default="compact",
        help="network that judges the pictures (default: compact, which ships)",
    )
    group.add_argument(
        "--encoder-weights", type=Path, metavar="FILE", help=".safetensors file of that encoder"
    )
    group.add_argument(
        "--download-encoder-to",
        type=Path,
        metavar="DIR",
        help="let torchvision fetch the weights of vgg16 or vgg19 into this folder",
    )
