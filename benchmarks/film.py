"""How still films hold: change beyond the motion, ours against other networks frame by frame.

    python -m benchmarks.film --paintings DIR -o OUT [--microast CHECKOUT]

Clips are made of photographs (see `clips`), so that the motion is known. Prints one table, with
the processor's time, and writes it to OUT/film.md, and for every style and clip a strip of
frames, a row per method in the order of the table.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from einops import rearrange
from torch import Tensor

from benchmarks.clips import Clip, make_clips, warping_error
from benchmarks.methods import Method, style_on
from benchmarks.peers import magenta, microast
from metastyle_core.base import SHIPPED_BASE, Base, base_file, load_base
from metastyle_core.cli.options import positive_int
from metastyle_core.files import write_text
from metastyle_core.film.drawing import FilmDrawing, draw_film
from metastyle_core.film.frames import FilmFacts, FilmFrame, Pixels
from metastyle_core.images import (
    contact_sheet,
    list_images,
    load_batch,
    load_square,
    save_image,
    spread_paths,
)
from metastyle_core.measures import band_energies, pan_errors, weave
from metastyle_core.shots import Lock

_PRESETS = ("van_gogh_starry_night", "hokusai_great_wave", "munch_the_scream")
_PHOTOGRAPHS = SHIPPED_BASE.parents[1] / "photographs"
_STRIP_FRAMES = 6
_RATE = Fraction(24)
DrawClip = Callable[[Clip], list[Tensor]]


@dataclass(frozen=True)
class Filmer:
    """One row of the table: what draws whole clips.

    Attributes:
        name: as in the table.
        prepare: a preset's name and its painting (1, 3, H, W) to what draws.
    """

    name: str
    prepare: Callable[[str, Tensor], DrawClip]


class _ClipFilm:
    """A clip as a film; see `metastyle_core.film.frames.Film`."""

    def __init__(self, clip: Clip) -> None:
        height, width = clip.frames[0].shape[-2:]
        self.name = clip.name
        self.facts = FilmFacts(width, height, _RATE, 1 / _RATE, len(clip.frames))
        self.problems: list[str] = []
        self._pixels = [_to_pixels(frame) for frame in clip.frames]

    def frames(self) -> Iterator[FilmFrame]:
        """All frames."""
        for number, pixels in enumerate(self._pixels, start=1):
            yield FilmFrame(number, number / _RATE, None, pixels)


def _to_pixels(frame: Tensor) -> Pixels:
    return rearrange((255 * frame[0]).round().byte(), "c h w -> h w c").numpy()


def ours(base: Base, name: str, lock: Lock | None = None, steady: int = 1) -> Filmer:
    """The shipped styles as `metastyle stylize` draws films, on another base instant ones."""

    def prepare(preset: str, painting: Tensor) -> DrawClip:
        style = style_on(base, preset, painting)
        drawing = replace(FilmDrawing(base, style, lock=lock), steady=steady)

        def draw(clip: Clip) -> list[Tensor]:
            found = (image for _, image in draw_film(_ClipFilm(clip), drawing))
            return [image for image in found if image is not None]

        return draw

    return Filmer(f"MetaStyle{name}", prepare)


def frame_by_frame(method: Method) -> Filmer:
    """A method that knows pictures alone."""

    def prepare(_: str, painting: Tensor) -> DrawClip:
        prepared = method.prepare(painting)
        return lambda clip: [prepared.stylize(frame) for frame in clip.frames]

    return Filmer(method.name, prepare)


def main() -> None:
    """Draw and measure all clips."""
    arguments = _parser().parse_args()
    paths = spread_paths(list_images(arguments.photographs), 2)
    clips = make_clips([load_batch(path) for path in paths], arguments.size, arguments.frames)
    filmers = _filmers(arguments)
    paintings = {n: _painting(arguments.paintings, n, arguments.size) for n in arguments.styles}
    rows: dict[str, list[dict[str, float]]] = {filmer.name: [] for filmer in filmers}
    for preset, painting in paintings.items():
        strips: dict[str, list[Sequence[Tensor]]] = {clip.name: [] for clip in clips}
        for filmer in filmers:
            row, drawn = _measure(filmer.prepare(preset, painting), clips, painting)
            rows[filmer.name].append(row)
            for clip, frames in zip(clips, drawn, strict=True):
                strips[clip.name].append(frames)
            sys.stderr.write(f"{preset} {filmer.name}: {row}\n")
        for name, films in strips.items():
            save_image(_strip(films), arguments.output / f"{preset}_{name}.jpg")
    table = _table(rows)
    write_text(arguments.output / "film.md", table)
    sys.stdout.write(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure how still films hold.")
    parser.add_argument(
        "--paintings", type=Path, required=True, metavar="DIR", help="named as the presets are"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--photographs", type=Path, default=_PHOTOGRAPHS, metavar="DIR", help="two are taken"
    )
    parser.add_argument("--styles", nargs="+", default=_PRESETS, metavar="PRESET")
    parser.add_argument("--base", type=base_file, default=SHIPPED_BASE)
    parser.add_argument("--microast", type=Path, help="a checkout of MicroAST's repository")
    parser.add_argument("--size", type=positive_int, default=256)
    parser.add_argument("--frames", type=positive_int, default=12, help="of each clip")
    parser.add_argument(
        "--only", nargs="+", metavar="TEXT", help="methods whose names contain one of these"
    )
    return parser


def _filmers(arguments: argparse.Namespace) -> list[Filmer]:
    base, fast, first = load_base(arguments.base), load_base("fast"), Lock("first")
    filmers = [
        Filmer("the clip itself", _untouched),
        ours(base, ""),
        ours(base, ", --lock first", first),
        ours(base, ", --steady 2", steady=2),
        ours(base, ", --steady 4", steady=4),
        ours(base, ", --lock first --steady 4", first, 4),
        ours(fast, ", fast base"),
        ours(fast, ", fast base, --lock first", first),
    ]
    if arguments.microast:
        filmers.append(frame_by_frame(microast(arguments.microast)))
    filmers.append(frame_by_frame(magenta()))
    wanted = arguments.only or [""]
    return [filmer for filmer in filmers if any(text in filmer.name for text in wanted)]


def _untouched(_preset: str, _painting: Tensor) -> DrawClip:
    return lambda clip: list(clip.frames)


def _painting(folder: Path, name: str, size_px: int) -> Tensor:
    found = [path for path in list_images(folder) if path.stem == name]
    if not found:
        sys.exit(f"{folder} holds no picture called {name}; name the folder of the paintings.")
    return load_square(found[0], size_px)


def _measure(
    draw: DrawClip, clips: Sequence[Clip], painting: Tensor
) -> tuple[dict[str, float], list[list[Tensor]]]:
    began_s = time.process_time()
    drawn = [draw(clip) for clip in clips]
    elapsed_s = time.process_time() - began_s
    row = {
        clip.name: warping_error(frames, clip) for clip, frames in zip(clips, drawn, strict=True)
    }
    still, first = clips[0].frames[0], drawn[0][0]
    for name, error in pan_errors(lambda x: draw(Clip("still", (x,), ()))[0], still).items():
        row[f"{name.removeprefix('pan_')} px"] = error
    row["finest band"], row["2nd"], *_ = band_energies(first, painting)
    row["weave"] = weave(first, still)
    row["ms a frame"] = 1000 * elapsed_s / sum(len(frames) for frames in drawn)
    return row, drawn


def _strip(films: Sequence[Sequence[Tensor]]) -> Tensor:
    """A row per film of frames spread over it: (3, H, W)."""
    step = max(1, len(films[0]) // _STRIP_FRAMES)
    return contact_sheet([[frame[0] for frame in film[::step]] for film in films])


def _table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Means over the styles, as Markdown."""
    columns = list(next(iter(rows.values()))[0])
    lines = ["| method | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for name, measured in rows.items():
        means = [sum(row[column] for row in measured) / len(measured) for column in columns]
        lines.append(f"| {name} | " + " | ".join(f"{mean:.3g}" for mean in means) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
