"""Films for `metastyle stylize`: what they are read from, where they go, and the work."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path

from torch import Generator, Tensor

from ..adaptation import AdaptationSettings, brush_for
from ..base import Base
from ..checks import require_sides
from ..colour import Colouring
from ..content import own_contents
from ..errors import FilmError, MetaStyleError, SettingsError, ShapeError
from ..film.coding import CONTAINERS, choose_coding, container_of
from ..film.drawing import FilmDrawing, draw_film, image_within
from ..film.frames import ANIMATION_SUFFIXES, FILM_SUFFIXES, Film, FilmFrame, ahead
from ..film.reading import Cut, VideoFile
from ..film.sequences import (
    AnimatedPicture,
    NumberedName,
    NumberedPictures,
    in_numeric_order,
    is_animation,
)
from ..film.writing import FilmWriter, NumberedFiles, film_file
from ..images import IMAGE_SUFFIXES, SAVE_SUFFIXES
from ..network import MIN_SIDE_PX
from ..shots import Lock
from ..steady import STEADY
from ..style import AdaptedStyle, check_style
from .controls import (
    colouring_of,
    files_of_controls,
    mask_of,
    refuse_for_films,
    require_fitting,
    seamless_of,
)
from .failures import report_failures
from .image_styles import style_from_image
from .inputs import files_of_styles, open_base, resolve_styles
from .options import non_negative_int
from .outputs import refuse_existing, refuse_inputs, refuse_shallow
from .parts import own_frames, refuse_one_film
from .progress import ProgressBar, progress_bar

_DEFAULT_RATE = Fraction(24)


def add_film_options(parser: argparse.ArgumentParser) -> None:
    """Add what concerns films alone."""
    group = parser.add_argument_group(
        "films",
        "A film, an animated GIF or WebP, or numbered frames become a film (.mp4, .webm, .mkv, "
        ".mov, .gif, .webp) or numbered frames, frame by frame in bounded memory. Sound is "
        "copied; times, turn, depth and colours are kept.",
    )
    group.add_argument("--start", type=moment, metavar="TIME", help="seconds or 1:02.5, from here")
    group.add_argument("--end", type=moment, metavar="TIME", help="seconds or 1:02.5, up to here")
    group.add_argument(
        "--lock",
        type=_lock,
        metavar="first|N|mean:N|slow",
        help="hold contrast and colours over each shot to those of its first frame, of frame N, "
        "of N frames spread over it, or of a slowly moving mean; so that what enters the picture "
        "changes nothing else, and fades fade",
    )
    group.add_argument(
        "--steady",
        type=int,
        choices=STEADY,
        default=1,
        help="draw every frame as the mean of 2 or 4 drawings, each shifted within the network's "
        "stride, so that strokes swim less when the picture moves; as many times the "
        "work (default: 1)",
    )
    group.add_argument(
        "--fps", type=_rate, metavar="N", help="rate of numbered frames (default: 24)"
    )
    group.add_argument("--codec", help="h264, hevc, vp9, av1, ffv1, ... (default: by the output)")
    group.add_argument(
        "--crf", type=non_negative_int, metavar="N", help="quality: lower is better and larger"
    )
    group.add_argument("--no-audio", action="store_true", help="leave the sound out")


def moment(text: str) -> Fraction:
    """Seconds from `12.5`, `1:02.5` or `1:00:02.5`.

    Raises:
        ArgumentTypeError: it is no time.
    """
    try:
        seconds = Fraction(0)
        for part in text.split(":"):
            seconds = 60 * seconds + Fraction(part)
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"got '{text}'; write seconds or 1:02.5") from error
    if seconds < 0:
        raise argparse.ArgumentTypeError(f"got {text}; a time from 0 up is needed")
    return seconds


def _rate(text: str) -> Fraction:
    rate = moment(text)
    if not rate:
        raise argparse.ArgumentTypeError("got 0; a number above 0 is needed")
    return rate


def _lock(text: str) -> Lock:
    try:
        return Lock.parse(text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def concern_films(arguments: argparse.Namespace) -> bool:
    """Whether inputs, output or options are of films and not of pictures one by one."""
    if arguments.lock or arguments.steady > 1 or any(_is_film(path) for path in arguments.images):
        return True
    output = Path(arguments.output)
    if output.is_dir():
        return False
    still = len(arguments.images) == 1 and arguments.images[0].is_file()
    film = output.suffix.lower() in CONTAINERS and not still
    return film or NumberedName.parse(output) is not None


def _is_film(path: Path) -> bool:
    if path.is_dir():
        return False
    pattern = not path.exists() and NumberedName.parse(path) is not None
    return pattern or path.suffix.lower() in FILM_SUFFIXES or is_animation(path)


@dataclass(frozen=True)
class _FilmJob:
    """One film to draw.

    Attributes:
        sources: its file, or its pictures by number.
        name: of what was given.
        target: a film, a folder or a pattern of names.
        whole: what it is a part of, which its style suits; the same but on a farm.
    """

    sources: Path | dict[int, Path]
    name: Path
    target: Path
    whole: Path | dict[int, Path]

    @property
    def read(self) -> list[Path]:
        """All files that are read."""
        return [self.sources] if isinstance(self.sources, Path) else list(self.sources.values())


def stylize_films(arguments: argparse.Namespace) -> None:
    """Draw and write every film.

    Raises:
        PartlyDoneError: all is written that could be; the message says what could not.
        MetaStyleError: nothing could be done with the only film.
    """
    jobs = _plan(arguments)
    waiting = [job for job in jobs if not (arguments.skip_existing and job.target.is_file())]
    reasons: list[str] = []
    reports: list[_Report] = []
    colouring, mask = colouring_of(arguments), mask_of(arguments)
    prepared: tuple[Base, AdaptedStyle] | None = None
    for job in waiting:
        try:
            film = _open(job, arguments)
            require_fitting(mask, Path(film.name), film.facts.height, film.facts.width)
            writing = _writer(job, film, arguments)
            prepared = prepared or _prepare(arguments, _open_whole(job, film, arguments))
            drawing = _drawing(arguments, *prepared, colouring, mask)
            report = _stylize_film(job, film, drawing, writing)
        except MetaStyleError as error:
            if len(jobs) == 1:
                raise
            reasons.append(str(error))
            continue
        reports.append(report)
        reasons += film.problems
    _announce(arguments, reports, len(jobs) - len(waiting))
    report_failures(reasons)


def _plan(arguments: argparse.Namespace) -> list[_FilmJob]:
    """What to draw into what, of which nothing may be lost."""
    if arguments.refine:
        raise SettingsError(
            "--refine is for stills, for refined frames flicker; leave it out, or write frames "
            "first and refine the folder."
        )
    refuse_for_films(arguments)
    sources = _sources(arguments.images)
    jobs = [_job(name, files, arguments, len(sources)) for name, files in sources]
    jobs = [job for job in jobs if job.sources]
    targets = [path for job in jobs for path in _targets(job)]
    if len(set(targets)) < len(targets):
        raise FilmError("Two films would be written to one file; stylize them one by one.")
    refuse_inputs(targets, [path for job in jobs for path in job.read])
    pictures = [*(arguments.style_picture or []), *files_of_controls(arguments)]
    refuse_inputs(targets, [arguments.base, *files_of_styles(arguments.style), *pictures])
    if not (arguments.skip_existing or arguments.overwrite):
        refuse_existing(targets)
    return jobs


def _job(
    name: Path, files: Path | dict[int, Path], arguments: argparse.Namespace, films: int
) -> _FilmJob:
    target = _target(name, arguments, films)
    part = own_frames(arguments, name, files)
    if _is_film_name(target):
        refuse_one_film(arguments)
    return _FilmJob(part, name, target, files)


def _sources(paths: Sequence[Path]) -> list[tuple[Path, Path | dict[int, Path]]]:
    """What was given, each with the file or the pictures that it stands for."""
    found: list[tuple[Path, Path | dict[int, Path]]] = []
    stills: list[Path] = []
    for path in paths:
        pattern = None if path.exists() else NumberedName.parse(path)
        if path.is_dir():
            found.append((path, _pictures_in(path)))
        elif pattern is not None:
            found.append((path, pattern.files()))
        elif _is_film(path) or path.suffix.lower() not in IMAGE_SUFFIXES:
            found.append((path, path))
        else:
            stills.append(path)
    if stills and found:
        raise FilmError(f"{stills[0]} is a still picture among films; stylize it by itself.")
    return [(stills[0].parent, in_numeric_order(stills))] if stills else found


def _pictures_in(folder: Path) -> dict[int, Path]:
    inside = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    pictures = [path for path in inside if path.is_file() and not path.name.startswith(".")]
    if not pictures:
        raise FilmError(f"{folder} holds no image; name a folder of frames, or a film in it.")
    return in_numeric_order(pictures)


def _target(name: Path, arguments: argparse.Namespace, films: int) -> Path:
    output = Path(arguments.output)
    single = NumberedName.parse(output) is not None or output.suffix.lower() in CONTAINERS
    if single and not output.is_dir():
        if films > 1:
            raise FilmError(f"Output is '{output}' for {films} films; name a folder.")
        return output
    if output.suffix and not output.is_dir():
        container_of(output)
    if not _is_film(name) or NumberedName.parse(name):
        return output
    kept = name.suffix.lower() in CONTAINERS
    return output / (name.name if kept else f"{name.stem}.mp4")


def _targets(job: _FilmJob) -> list[Path]:
    """The files to write, as far as the names tell."""
    pattern = NumberedName.parse(job.target)
    if isinstance(job.sources, dict) and (pattern or not _is_film_name(job.target)):
        return [_path_of(job)(number) for number in job.sources]
    if pattern is None:
        return [job.target]
    try:
        return list(pattern.files().values())
    except FilmError:
        return []


def _is_film_name(path: Path) -> bool:
    return path.suffix.lower() in CONTAINERS and not path.is_dir()


def _path_of(job: _FilmJob) -> Callable[[int], Path]:
    """Where a frame goes by its number, where frames are what is written."""
    pattern = NumberedName.parse(job.target)
    if pattern is not None:
        return pattern.path
    files = job.sources if isinstance(job.sources, dict) else {}

    def path_of(number: int) -> Path:
        name = files[number].name
        kept = Path(name).suffix.lower() in SAVE_SUFFIXES
        return job.target / (name if kept else f"{Path(name).stem}.png")

    return path_of


def _open(job: _FilmJob, arguments: argparse.Namespace) -> Film:
    cut = Cut(arguments.start or Fraction(0), arguments.end)
    if isinstance(job.sources, dict):
        rate = arguments.fps or _DEFAULT_RATE
        film: Film = NumberedPictures(job.sources, rate, cut, str(job.name))
    elif arguments.fps:
        raise SettingsError(f"--fps is the rate of numbered frames; {job.name} has its own.")
    elif job.sources.suffix.lower() in ANIMATION_SUFFIXES:
        film = AnimatedPicture(job.sources, cut)
    else:
        film = VideoFile(job.sources, cut)
    require_sides(film.name, film.facts.height, film.facts.width, MIN_SIDE_PX)
    if arguments.strip:
        film.facts = replace(film.facts, metadata={})
    return film


def _open_whole(job: _FilmJob, part: Film, arguments: argparse.Namespace) -> Film:
    return part if job.whole == job.sources else _open(replace(job, sources=job.whole), arguments)


def _prepare(arguments: argparse.Namespace, film: Film) -> tuple[Base, AdaptedStyle]:
    """The base, and the style that suits the first film."""
    if arguments.supersampling is not None:
        raise SettingsError("--supersampling is for pictures; films are drawn at their own size.")
    base = open_base(arguments)
    brush = arguments.style_size_px or _brush(arguments, film)
    contents = partial(_crops_of, arguments, film)
    abstraction = _abstraction_of(arguments)
    from_image = partial(style_from_image, arguments, base, brush, abstraction, contents)
    style = resolve_styles(base, arguments.style, from_image)
    check_style(style, base)
    return base, style.to(base.device)


def _abstraction_of(arguments: argparse.Namespace) -> float:
    """The abstraction of films: what was asked for, or none."""
    return arguments.abstraction or 0.0


def _brush(arguments: argparse.Namespace, film: Film) -> int:
    height, width = film.facts.height, film.facts.width
    longest = max(height, width)
    scale = min(1.0, (arguments.max_size or longest) / longest)
    return brush_for(round(height * scale), round(width * scale), supersampling=1.0)


def _crops_of(arguments: argparse.Namespace, film: Film, settings: AdaptationSettings) -> Tensor:
    """Crops of frames spread over a film, to adapt on: (N, 3, H, W)."""
    count = settings.content_count
    step = max(1, (film.facts.count or count) // count)
    with closing(ahead(film.frames())) as frames:
        spread = islice(frames, 0, count * step, step)
        images = [image_within(frame, arguments.max_size) for frame in spread]
    generator = Generator().manual_seed(settings.seed)
    return own_contents(images, count, settings.content_size_px, generator)


def _drawing(
    arguments: argparse.Namespace,
    base: Base,
    style: AdaptedStyle,
    colouring: Colouring,
    mask: Tensor | None,
) -> FilmDrawing:
    return FilmDrawing(
        base,
        style,
        precision=arguments.precision,
        strength=arguments.strength,
        grain=arguments.grain or 0.0,
        seed=arguments.seed,
        max_size_px=arguments.max_size,
        lock=arguments.lock,
        steady=arguments.steady,
        colouring=colouring,
        seamless=seamless_of(arguments),
        mask=mask,
        abstraction=_abstraction_of(arguments),
    )


@dataclass(frozen=True)
class _Report:
    """What became of one film."""

    target: Path
    frames: int
    kept: int
    elapsed_s: float


def _stylize_film(
    job: _FilmJob,
    film: Film,
    drawing: FilmDrawing,
    writing: AbstractContextManager[FilmWriter],
) -> _Report:
    began_s, drawn_frames, kept = time.monotonic(), 0, 0
    refused: list[str] = []
    with writing as writer, _bar(film, drawing) as bar:

        def look(_: FilmFrame) -> None:
            bar.update(1)

        for frame, drawn in draw_film(film, drawing, kept=writer.has, on_look=look):
            if drawn_frames + kept == 0:
                bar.set_description_str("stylizing")
                bar.reset(film.facts.count)
            bar.update(1)
            if drawn is None:
                kept += 1
                continue
            try:
                writer.write(frame, drawn)
                drawn_frames += 1
            except ShapeError as error:
                refused.append(str(error))
    film.problems += refused
    for note in writer.notes:
        sys.stderr.write(f"metastyle stylize: {note}\n")
    return _Report(job.target, drawn_frames, kept, time.monotonic() - began_s)


def _bar(film: Film, drawing: FilmDrawing) -> ProgressBar:
    what = "stylizing" if drawing.lock is None else "finding shots"
    return progress_bar(film.facts.count, what, "frame")


def _writer(
    job: _FilmJob, film: Film, arguments: argparse.Namespace
) -> AbstractContextManager[FilmWriter]:
    """What will write a film; nothing is written yet, but what it cannot do is refused."""
    if _is_film_name(job.target):
        choose_coding(job.target, film.facts, arguments.codec, arguments.crf)
        sound = film if isinstance(film, VideoFile) and not arguments.no_audio else None
        return film_file(
            job.target, film.facts, codec=arguments.codec, crf=arguments.crf, sound=sound
        )
    if arguments.codec or arguments.crf is not None:
        raise SettingsError("--codec and --crf are for films; the output is numbered frames.")
    path_of, first = _path_of(job), next(iter(job.sources)) if isinstance(job.sources, dict) else 1
    refuse_shallow([path_of(first)], arguments.depth)
    files = NumberedFiles(
        path_of,
        film.facts,
        first=first,
        deep=None if arguments.depth == "auto" else arguments.depth == "16",
        skip_existing=arguments.skip_existing,
    )
    return nullcontext(files)


def _announce(arguments: argparse.Namespace, reports: Sequence[_Report], skipped: int) -> None:
    elapsed_s = sum(report.elapsed_s for report in reports)
    frames = sum(report.frames for report in reports)
    rate = frames / max(elapsed_s, 1e-9)
    kept = sum(report.kept for report in reports)
    if arguments.json:
        summary = {
            "outputs": [str(report.target) for report in reports],
            "skipped": skipped,
            "frames": frames,
            "skipped_frames": kept,
            "frames_per_second": round(rate, 3),
            "elapsed_s": round(elapsed_s, 3),
        }
        sys.stdout.write(json.dumps(summary) + "\n")
        return
    where = reports[0].target if len(reports) == 1 else arguments.output
    left_out = f", {kept or skipped} left out that exist already" if kept or skipped else ""
    sys.stdout.write(f"{where}: {frames} frames, {rate:.2f} frames per second{left_out}\n")
