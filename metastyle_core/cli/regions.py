"""`--region`: options, and how `stylize` draws several styles in one picture."""

import argparse
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from ..base import Base
from ..colour import Colouring
from ..errors import SettingsError, ShapeError
from ..images import load_image
from ..masks import mask_from, require_mask
from ..regions import Region, RegionSettings, require_regions, stylize_regions
from ..style import AdaptedStyle
from .controls import abstraction_of, grain_of, supersampling_of
from .inputs import resolve_styles
from .options import non_negative_float
from .outputs import Job

_PLAIN = {
    "seamless": "none", "mask": None, "refine": 0, "brush": None, "max_memory": None, "ray": None,
}  # fmt: skip


def add_region_options(parser: argparse.ArgumentParser) -> None:
    """Add `--region` and `--feather`."""
    group = parser.add_argument_group(
        "regions", "several styles in one image, each where its mask says"
    )
    group.add_argument(
        "--region",
        action="append",
        default=[],
        metavar="STYLE=MASK",
        help="a style, as for --style, and a picture that is white where it goes; repeat it for "
        "each style. Where masks overlap, styles mix; what they leave free has --style, or stays "
        "without one",
    )
    group.add_argument(
        "--feather",
        type=non_negative_float,
        default=0.0,
        metavar="PX",
        help="how wide the passage from one region to the next is (default: 0, as the masks are)",
    )


def files_of_regions(arguments: argparse.Namespace) -> list[Path]:
    """The files that `--region` names, styles and masks; what is a preset's name names none."""
    named = [Path(part) for request in arguments.region for part in _split(request)]
    return [path for path in named if path.is_file()]


def require_style_or_regions(arguments: argparse.Namespace) -> None:
    """Refuse a run without a style, and options that regions cannot be drawn with.

    Raises:
        SettingsError: neither `--style` nor `--region`, `--feather` without a region, or an
            option beside `--region` that has no use there.
    """
    if not arguments.region:
        if not arguments.style:
            raise SettingsError("No style is given; name one with --style, or regions with masks.")
        if arguments.feather:
            raise SettingsError(
                f"--feather {arguments.feather:g} has no use without --region; leave it out."
            )
        return
    for name, value in _PLAIN.items():
        if getattr(arguments, name) != value:
            option = name.replace("_", "-")
            raise SettingsError(
                f"--{option} and --region cannot be used together; leave one of them out."
            )


class RegionDrawer:
    """Draws the pictures of a run by regions, with the masks read once."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        base: Base,
        colouring: Colouring,
        from_image: Callable[[Path], AdaptedStyle],
    ) -> None:
        """Read styles and masks.

        Raises:
            SettingsError: a region without a mask, or one that is black everywhere.
            MetaStyleError: a file that cannot be read.
        """
        pairs = [_split(request) for request in arguments.region]
        masks = [_open_mask(path) for _, path in pairs]
        styles = [resolve_styles(base, [style], from_image) for style, _ in pairs]
        self._regions = [Region(*pair) for pair in zip(styles, masks, strict=True)]
        rest = arguments.style
        self._rest = resolve_styles(base, rest, from_image) if rest else None
        self._base = base
        self._settings = RegionSettings(
            feather_px=arguments.feather,
            strength=arguments.strength,
            grain=grain_of(arguments),
            seed=arguments.seed,
            precision=arguments.precision,
            colouring=colouring,
            abstraction=abstraction_of(arguments),
            supersampling=supersampling_of(arguments),
        )

    def require_fitting(self, path: Path, height: int, width: int) -> None:
        """Raise ShapeError, which names the file, unless a picture has the masks' ratio."""
        try:
            require_regions(self._regions, 1, height, width)
        except ShapeError as error:
            raise ShapeError(f"{path}: {error}") from error

    def draw_large(self, job: Job) -> None:
        """None: pictures are held whole."""

    def draw(self, pictures: Tensor, alpha: Tensor | None) -> Tensor:
        """Draw pictures (B, 3, H, W); alpha (B, 1, H, W) of those with transparency."""
        return stylize_regions(
            self._base, self._regions, pictures, self._settings, rest=self._rest, alpha=alpha
        )


def _open_mask(path: Path) -> Tensor:
    mask = mask_from(load_image(path))
    require_mask(mask, 1, *mask.shape[-2:], what=f"Mask {path}")
    return mask


def _split(request: str) -> tuple[str, Path]:
    """A `--region` argument as a style and the file of its mask."""
    style, equals, mask = request.rpartition("=")
    if not (style and equals and mask):
        raise SettingsError(
            f"--region {request} is no STYLE=MASK; write a style, '=' and the file of its mask."
        )
    return style, Path(mask)
