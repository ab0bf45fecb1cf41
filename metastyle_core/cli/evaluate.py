"""`metastyle evaluate`: the reporting metric for modes and numbers of steps."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from ..adaptation import AdaptationSettings, brush_for
from ..encoder import ENCODER_NAMES, load_encoder
from ..errors import SettingsError
from ..evaluation import EVALUATION_MODES, Entry, evaluate, summarise
from ..files import refuse_unwritable, write_text
from ..images import list_images, load_square, save_image, spread_paths
from .failures import Failures
from .inputs import crops_of, find_images, open_base
from .options import (
    Commands,
    add_adaptation_options,
    add_base_option,
    add_compute_options,
    positive_int,
    settings_from,
)
from .progress import progress_bar


def add_parser(commands: Commands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "evaluate",
        help="measure adaptation on folders of styles and contents",
        description="Adapt to every style with every mode and number of steps, stylize every "
        "content, and report what the judge and simple measures of pictures say.",
    )
    parser.add_argument("--styles", type=Path, required=True, metavar="DIR")
    parser.add_argument("--contents", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--encoder", choices=ENCODER_NAMES, default="compact", help="judges the pictures"
    )
    parser.add_argument("--encoder-weights", type=Path, metavar="FILE")
    parser.add_argument(
        "--adapt-encoder",
        choices=ENCODER_NAMES,
        help="encoder of the adaptation loss (default: the judge)",
    )
    parser.add_argument("--adapt-encoder-weights", type=Path, metavar="FILE")
    parser.add_argument(
        "--steps",
        dest="step_counts",
        default="0,10,30,100,200",
        metavar="N,N,...",
        help="default: %(default)s",
    )
    parser.add_argument(
        "--modes", default="norm,full,scratch", metavar="M,M,...", help="default: %(default)s"
    )
    parser.add_argument(
        "--size",
        type=positive_int,
        default=384,
        metavar="PX",
        help="of contents and styles, squares (default: 384)",
    )
    parser.add_argument("--max-styles", type=positive_int, metavar="N", help="evenly spaced")
    parser.add_argument("--max-contents", type=positive_int, default=4, metavar="N")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="keep the stylized pictures")
    parser.add_argument("--json", type=Path, required=True, metavar="OUT")
    add_base_option(parser)
    add_adaptation_options(parser)
    add_compute_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Evaluate, print the table and write all numbers as JSON."""
    modes = _choices(arguments.modes)
    steps = _step_counts(arguments.step_counts)
    brush = brush_for(arguments.size, arguments.size)
    settings = settings_from(arguments, AdaptationSettings, style_size_px=brush)
    refuse_unwritable(arguments.json)
    base = open_base(arguments)
    judge = load_encoder(arguments.encoder, weights=arguments.encoder_weights).to(base.device)
    adapt_encoder = judge
    if arguments.adapt_encoder:
        adapt_encoder = load_encoder(
            arguments.adapt_encoder, weights=arguments.adapt_encoder_weights
        ).to(base.device)
    style_paths = spread_paths(list_images(arguments.styles), arguments.max_styles)
    styles = {
        _name_below(arguments.styles, path): load_square(path, brush).to(base.device)
        for path in style_paths
    }
    content_paths = spread_paths(list_images(arguments.contents), arguments.max_contents)
    contents = [load_square(path, arguments.size).to(base.device) for path in content_paths]
    given = find_images(arguments.content) if arguments.content else []
    failures = Failures(len(given))
    adapt_contents = crops_of(given, settings, failures) if given else None
    entries: list[Entry] = []
    report = {
        "base_sha256": base.sha256,
        "judge": judge.spec.name,
        "adapt_encoder": adapt_encoder.spec.name,
        "size_px": arguments.size,
        "styles": list(styles),
        "contents": [_name_below(arguments.contents, path) for path in content_paths],
        "settings": asdict(settings),
    }

    def keep(style: str, mode: str, count: int, pictures: list[Tensor]) -> None:
        if arguments.pictures:
            for content, picture in zip(report["contents"], pictures, strict=True):
                name = f"{style}-{mode}-{count:04d}-{content}.png".replace("/", "-")
                save_image(picture, arguments.pictures / name)

    with progress_bar(len(styles) * len(modes) * len(steps), "evaluating") as bar:
        for entry in evaluate(
            base,
            adapt_encoder,
            judge,
            styles,
            contents,
            modes=modes,
            steps=steps,
            settings=settings,
            adapt_contents=adapt_contents,
            on_picture=keep,
        ):
            entries.append(entry)
            bar.update(1)
            # After every entry: a run takes hours, and may be stopped.
            results = {
                "summary": summarise(entries),
                "entries": [asdict(entry) for entry in entries],
            }
            write_text(arguments.json, json.dumps(report | results, indent=1))
    _print_table(summarise(entries))
    failures.report()


def _name_below(folder: Path, path: Path) -> str:
    """What tells pictures of one folder apart: the way to each, without its suffix."""
    return path.relative_to(folder).with_suffix("").as_posix()


def _choices(text: str) -> list[str]:
    modes = [mode.strip() for mode in text.split(",")]
    unknown = [mode for mode in modes if mode not in EVALUATION_MODES]
    if unknown:
        raise SettingsError(f"--modes has '{unknown[0]}'; choose of {','.join(EVALUATION_MODES)}.")
    return modes


def _step_counts(text: str) -> list[int]:
    try:
        steps = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise SettingsError(f"--steps is '{text}'; write numbers such as 0,10,30.") from error
    if min(steps) < 0:
        raise SettingsError(f"--steps is '{text}'; numbers from 0 up are needed.")
    return steps


def _print_table(rows: list[dict[str, object]]) -> None:
    columns = (
        "mode", "steps", "styles", "style", "content", "total", "gram_total", "ssim", "structure",
        "weave", "hatching", "blotches", "band_1", "band_2", "band_3", "band_4",
        "pan_1", "pan_2", "pan_3", "adapt_s",
    )  # fmt: skip
    lines = ["  ".join(f"{name:>10}" for name in columns)]
    for row in rows:
        cells = [row[name] for name in columns]
        lines.append(
            "  ".join(f"{c:10.3f}" if isinstance(c, float) else f"{c!s:>10}" for c in cells)
        )
    sys.stdout.write("\n".join(lines) + "\n")
