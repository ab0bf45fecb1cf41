"""Quality, speed and flexibility of every family, on the same images in one run.

    python -m benchmarks.quality --styles DIR --contents DIR --encoder-weights FILE -o OUT

Writes OUT/results.json after every row, OUT/table.md, every picture, and one contact sheet
per style: a row per photograph with the style and then the methods in the order of the
table, the photograph itself first. A run that was stopped goes on where it was, and one
that is done takes in further methods and styles.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.adain import load_decoder
from benchmarks.methods import (
    Method,
    adain,
    adapted_on_each,
    control,
    gatys,
    johnson,
    metastyle,
    refined,
    untouched,
)
from benchmarks.metrics import PeakMemory
from benchmarks.peers import code_distance, magenta, magenta_style_code, microast
from benchmarks.report import Row, report
from metastyle_core.adaptation import AdaptationSettings, brush_for
from metastyle_core.base import SHIPPED_BASE, base_file, load_base
from metastyle_core.cli.failures import Failures
from metastyle_core.cli.inputs import crops_of, find_images
from metastyle_core.cli.options import non_negative_int, positive_int
from metastyle_core.encoder import PerceptualEncoder, load_encoder
from metastyle_core.files import write_text
from metastyle_core.images import (
    contact_sheet,
    list_images,
    load_batch,
    load_square,
    save_image,
    spread_paths,
)
from metastyle_core.measures import measure, over_pictures, pan_errors
from metastyle_core.refinement import RefinementSettings
from metastyle_core.style_distance import STYLE_DISTANCES

# Options that change what a row means; the others only choose rows.
_DECISIVE = (
    "styles", "contents", "encoder_weights", "adapt_contents", "adapt_encoder", "base", "control",
    "adain", "microast", "size", "max_contents",
)  # fmt: skip


@dataclass(frozen=True)
class _Judges:
    """What measures every picture.

    Attributes:
        encoder: of the yardstick, VGG-19.
        style_code: the predictor of another method, which shares nothing with our losses.
    """

    encoder: PerceptualEncoder
    style_code: Callable[[Tensor], Tensor]


def main() -> None:
    """Run the benchmark, or what is left of it, and write the table."""
    arguments = _parser().parse_args()
    judge = load_encoder("vgg19_caffe", weights=arguments.encoder_weights)
    judges = _Judges(judge, magenta_style_code())
    methods = _methods(arguments, judge)
    styles = spread_paths(list_images(arguments.styles), arguments.max_styles)
    contents = spread_paths(list_images(arguments.contents), arguments.max_contents)
    results_path = arguments.output / "results.json"
    setting = {name: identity(vars(arguments)[name]) for name in _DECISIVE}
    rows = _earlier_rows(results_path, setting)
    done = {(row["method"], row["style_name"]) for row in rows}
    for position, style_path in enumerate(styles):
        style = load_square(style_path, arguments.size)
        for method in methods:
            left_out = method.slow and position >= arguments.slow_styles
            if left_out or (method.name, style_path.stem) in done:
                continue
            row, pictures = _measure(method, style_path, contents, judges, arguments.size)
            rows.append({"method": method.name, "style_name": style_path.stem, **row})
            for path, picture in zip(contents, pictures, strict=True):
                kept = picture_path(arguments.output, style_path.stem, method.name, path.stem)
                save_image(picture, kept)
            write_text(results_path, json.dumps({"setting": setting, "rows": rows}, indent=1))
            sys.stdout.write(f"{style_path.stem} {method.name}: total {row['total']:.3f}\n")
            sys.stdout.flush()
        _write_sheet(arguments.output, style_path, style, methods, contents)
    chosen = {path.stem for path in styles}
    heading = (
        f"{len(contents)} photographs at {arguments.size} px, judged by vgg19_caffe, "
        f"{torch.get_num_threads()} CPU threads.\n\n"
    )
    tables = heading + report(
        [row for row in rows if row["style_name"] in chosen],
        [method.name for method in methods],
        [m.name for m in methods if m.slow],
    )
    write_text(arguments.output / "table.md", tables)
    sys.stdout.write(tables)


def identity(value: object) -> str:
    """What an option stands for; a file is its contents, as weights may change under a name."""
    if isinstance(value, Path) and value.is_file():
        return f"{value.name} {hashlib.sha256(value.read_bytes()).hexdigest()[:16]}"
    return str(value)


def _earlier_rows(results_path: Path, setting: dict[str, str]) -> list[Row]:
    """What a run that was stopped has measured; refused when it measured something else."""
    if not results_path.is_file():
        return []
    earlier = json.loads(results_path.read_text())
    if earlier["setting"] != setting:
        sys.exit(f"{results_path} was measured with other options or weights; name another folder.")
    return earlier["rows"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure every family of style transfer.")
    parser.add_argument("--styles", type=Path, required=True, metavar="DIR")
    parser.add_argument("--contents", type=Path, required=True, metavar="DIR")
    parser.add_argument("--encoder-weights", type=Path, required=True, help="vgg19_caffe")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--adapt-contents", type=Path, nargs="+", help="photographs to adapt on")
    parser.add_argument("--adapt-encoder", choices=("compact", "vgg19_caffe"), default="compact")
    parser.add_argument("--base", type=base_file, default=SHIPPED_BASE)
    parser.add_argument("--control", type=base_file, help="a base trained without an inner loop")
    parser.add_argument("--adain", type=Path, help="decoder of benchmarks.adain")
    parser.add_argument("--microast", type=Path, help="a checkout of MicroAST's repository")
    parser.add_argument("--size", type=positive_int, default=384)
    parser.add_argument("--max-styles", type=positive_int, default=8)
    parser.add_argument("--max-contents", type=positive_int, default=4)
    parser.add_argument(
        "--slow-styles",
        type=positive_int,
        default=2,
        help="styles on which Gatys and trainings of more than 200 steps run (default: 2)",
    )
    parser.add_argument("--gatys-iterations", type=non_negative_int, default=500)
    parser.add_argument("--refine-steps", type=positive_int, nargs="*", default=[80])
    parser.add_argument("--johnson-steps", type=int, nargs="*", default=[100, 1000])
    parser.add_argument("--steps", type=positive_int, nargs="+", default=[10, 30, 100, 200])
    parser.add_argument("--modes", nargs="+", default=["norm", "low_rank", "full"])
    parser.add_argument(
        "--only", nargs="+", metavar="TEXT", help="methods whose names contain one of these"
    )
    return parser


def _methods(arguments: argparse.Namespace, judge: PerceptualEncoder) -> list[Method]:
    base = load_base(arguments.base)
    settings = AdaptationSettings(style_size_px=brush_for(arguments.size, arguments.size))
    given = find_images(arguments.adapt_contents) if arguments.adapt_contents else []
    contents = crops_of(given, settings, Failures(len(given))) if given else None
    encoder = load_encoder("compact") if arguments.adapt_encoder == "compact" else judge
    ours = metastyle(base, encoder, settings, contents, arguments.modes, arguments.steps)
    longest = next(m for m in reversed(ours) if arguments.modes[0] in m.name)
    methods = [untouched(), *ours]
    for mode in arguments.modes:
        for steps in arguments.steps:
            chosen = replace(settings, mode=mode, steps=steps)
            methods.append(adapted_on_each(base, encoder, chosen))
    if arguments.control:
        methods.append(control(load_base(arguments.control), encoder, settings, contents))
    methods += [johnson(encoder, settings, contents, n) for n in arguments.johnson_steps]
    if arguments.adain:
        methods.append(adain(judge, load_decoder(arguments.adain)))
    if arguments.microast:
        methods.append(microast(arguments.microast))
    methods.append(magenta())
    if arguments.gatys_iterations:
        for distance in STYLE_DISTANCES:
            methods.append(gatys(judge, arguments.gatys_iterations, distance))
        methods.append(
            gatys(judge, max(1, arguments.gatys_iterations // 5), "sliced", start=longest)
        )
    instant = ours[0]
    methods += [refined(instant, encoder, RefinementSettings(n)) for n in arguments.refine_steps]
    wanted = arguments.only or [""]
    return [method for method in methods if any(text in method.name for text in wanted)]


def _measure(
    method: Method,
    style_path: Path,
    contents: Sequence[Path],
    judges: _Judges,
    size_px: int,
) -> tuple[Row, list[Tensor]]:
    memory = PeakMemory()
    style, read = (load_square(style_path, px) for px in (size_px, method.style_px or size_px))
    began_s = time.perf_counter()
    prepared = method.prepare(read)
    prepare_s = time.perf_counter() - began_s
    pictures: list[Tensor] = []
    seconds: list[float] = []
    loaded = [load_square(path, size_px) for path in contents]
    for content in loaded:
        began_s = time.perf_counter()
        pictures.append(prepared.stylize(content))
        seconds.append(time.perf_counter() - began_s)
    peak_mib = memory.mebibytes()
    measured = [
        measure(judges.encoder, picture, content, style)
        | {"code_distance": code_distance(judges.style_code, picture, content, style)}
        for content, picture in zip(loaded, pictures, strict=True)
    ]
    row: Row = {
        **over_pictures(measured),
        "first_picture_s": prepare_s + seconds[0],
        "picture_s": sorted(seconds)[len(seconds) // 2],
        "file_bytes": prepared.style_bytes,
        "peak_mib": peak_mib,
    }
    if method.real_time:
        row |= pan_errors(prepared.frame or prepared.stylize, loaded[0])
    return row, pictures


def picture_path(folder: Path, style: str, method: str, content: str) -> Path:
    """Where a run keeps what a method drew, by the names of style, method and content."""
    name = method.replace(", ", "_").replace(" ", "-")
    return folder / "pictures" / style / f"{name}__{content}.png"


def _write_sheet(
    folder: Path,
    style_path: Path,
    style: Tensor,
    methods: Sequence[Method],
    contents: Sequence[Path],
) -> None:
    rows: list[list[Tensor]] = []
    for path in contents:
        files = [picture_path(folder, style_path.stem, m.name, path.stem) for m in methods]
        pictures = [load_batch(file)[0] for file in files if file.is_file()]
        if pictures:
            rows.append([style[0], *pictures])
    if rows:
        save_image(contact_sheet(rows), folder / f"sheet_{style_path.stem}.png")


if __name__ == "__main__":
    main()
