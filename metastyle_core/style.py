"""An adapted style: the few numbers that turn the base into one style.

Frozen in memory, a few kilobytes on disk. This file owns its form and its file. How a style
is found is said in `adaptation`, how styles are mixed and added in `mixing`, how one is used in
`stylization`.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from .base import Base, shipped_name
from .checkpoint import TensorFile, parse_json, read_tensors, write_tensors
from .colour import Palette
from .errors import BaseMismatchError, CheckpointError
from .images import DECODER_ERRORS, limit_long_side, to_pil
from .low_rank import update_shapes
from .network import ADAPTATION_MODES, AdaptationMode, adapted_parameter_names
from .style_statistics import StyleStatistics, split_statistics

STYLE_FORMAT = "metastyle.style"
PICTURES = ("thumbnail", "painting")  # by the names that they have in the file
STYLE_SIZE_PX = 576  # of style pictures, where nothing else is said
# With such a picture a style of mode `norm` in half precision stays within 16 KB.
_THUMBNAIL_BYTES = 4600
_THUMBNAIL_PX = 192


@dataclass(frozen=True)
class AdaptedStyle:
    """One style of one base.

    Attributes:
        fast_weights: parameter name of the base to its value in this style, and in mode
            `low_rank` the updates of its convolutions (see `low_rank`).
        base_sha256: hash of the base it belongs to.
        mode: which parameters it replaces or updates.
        name: what people call it.
        settings: how it was made, plain values.
        losses: where its adaptation ended, by name; where the style then went half of the way back
            to its start (see `adapt_to_style`), before it did. Empty for an instant style.
        thumbnail: WebP picture of at most 4.6 KB, or None.
        statistics: what refining needs of the style in place of its pictures, or None.
        painting: WebP picture that a user chose to keep beside the thumbnail, as small, or None.
        palette: the colours of its pictures, or None where they are not known.
    """

    fast_weights: Mapping[str, Tensor]
    base_sha256: str
    mode: AdaptationMode
    name: str
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    losses: Mapping[str, float] = field(default_factory=dict[str, float])
    thumbnail: bytes | None = None
    statistics: StyleStatistics | None = None
    painting: bytes | None = None
    palette: Palette | None = None

    @property
    def size_px(self) -> int:
        """Photographs drawn at this short side get strokes as large as in the painting."""
        size = self.settings.get("style_size_px")
        return size if isinstance(size, int) else STYLE_SIZE_PX

    @property
    def levels(self) -> float:
        """How far its pictures were brought towards full tones, [0, 1]."""
        amount = self.settings.get("levels")
        return float(amount) if isinstance(amount, int | float) and 0 <= amount <= 1 else 0.0

    @property
    def brushwork(self) -> float:
        """How much the strokes of its pictures show, [0, 1]; all where that is not known."""
        amount = self.settings.get("brushwork")
        return float(amount) if isinstance(amount, int | float) and 0 <= amount <= 1 else 1.0

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> "AdaptedStyle":
        """A copy with its tensors elsewhere; itself when nothing moves."""
        if all(
            t.device == device and (dtype is None or t.dtype == dtype)
            for t in self.fast_weights.values()
        ):
            return self
        moved = {name: t.to(device, dtype) for name, t in self.fast_weights.items()}
        return replace(self, fast_weights=moved)

    def require_base(self, base: Base) -> None:
        """Raise BaseMismatchError unless this style was made for `base`."""
        if self.base_sha256 != base.sha256:
            raise BaseMismatchError(
                f"Style '{self.name}' was made for base {_told(self.base_sha256)}, but the loaded "
                f"base is {_told(base.sha256)}. {_remedy(shipped_name(self.base_sha256))}"
            )

    def with_thumbnail(self, picture: Tensor) -> "AdaptedStyle":
        """A copy with a small picture of at most 4.6 KB.

        Args:
            picture: (3, H, W) or (1, 3, H, W), [0, 1].
        """
        return replace(self, thumbnail=_small_webp(picture))

    def with_painting(self, picture: Tensor) -> "AdaptedStyle":
        """A copy with a small picture beside the thumbnail, of at most 4.6 KB too.

        Args:
            picture: (3, H, W) or (1, 3, H, W), [0, 1].
        """
        return replace(self, painting=_small_webp(picture))


def _told(sha256: str) -> str:
    """A base by the head of its hash, and by its name where it ships."""
    name = shipped_name(sha256)
    return f"{sha256[:12]} ({name})" if name else sha256[:12]


def _remedy(own_base: str | None) -> str:
    """What to do about a style of another base, which ships under a name or does not."""
    if own_base is None:
        return "Load the base it was made for, or adapt it again."
    return (
        f"Load the {own_base} base, or adapt the painting to the loaded one: with 0 steps, an "
        "instant style, that takes a second."
    )


def _small_webp(picture: Tensor) -> bytes:
    batch = picture[None] if picture.ndim == 3 else picture
    small = to_pil(limit_long_side(batch.detach().float(), _THUMBNAIL_PX))
    for quality in (80, 70, 60, 50, 40, 30, 20, 5):
        buffer = BytesIO()
        small.save(buffer, format="WEBP", quality=quality, method=6)
        if buffer.tell() <= _THUMBNAIL_BYTES:
            break
    return buffer.getvalue()


def save_style(style: AdaptedStyle, path: Path | str, *, half: bool = False) -> None:
    """Write a style as safetensors, whole or not at all.

    Settings that are None are left out.

    Args:
        style: what to write.
        path: the file; folders are created.
        half: store float16, half the size; otherwise float32. Statistics, where the style
            keeps any, are float16 always.

    Raises:
        CheckpointError: the place cannot be written.
    """
    dtype = torch.float16 if half else torch.float32
    metadata = {
        "base_sha256": style.base_sha256,
        "mode": style.mode,
        "name": style.name,
        "settings": _compact({k: v for k, v in style.settings.items() if v is not None}),
        "losses": _compact(dict(style.losses)),
    }
    for key, picture in (("thumbnail", style.thumbnail), ("painting", style.painting)):
        if picture is not None:
            metadata[key] = base64.b64encode(picture).decode("ascii")
    if style.palette is not None:
        metadata["palette"] = _compact(style.palette.header())
    tensors = {name: tensor.to(dtype) for name, tensor in style.fast_weights.items()}
    if style.statistics is not None:
        metadata["statistics"] = style.statistics.header()
        tensors |= style.statistics.tensors()
    write_tensors(path, tensors, file_format=STYLE_FORMAT, metadata=metadata)


def _compact(values: Mapping[str, object]) -> str:
    return json.dumps(values, separators=(",", ":"))


def load_style(path: Path | str) -> AdaptedStyle:
    """Read a style, in float32 on the CPU.

    Raises:
        CheckpointError: missing, damaged, of another kind or version, or with NaN.
    """
    return _style_from_file(path, read_tensors(path, file_format=STYLE_FORMAT))


def _style_from_file(path: Path | str, file: TensorFile) -> AdaptedStyle:
    metadata = file.metadata
    known: dict[str, AdaptationMode] = {name: name for name in ADAPTATION_MODES}
    mode = known.get(metadata.get("mode", ""))
    if mode is None:
        raise CheckpointError(
            f"{path}: unknown adaptation mode '{metadata.get('mode')}'; update MetaStyle."
        )
    if not metadata.get("base_sha256"):
        raise CheckpointError(f"{path} does not say which base it belongs to; adapt it again.")
    try:
        losses = {k: float(str(v)) for k, v in parse_json(path, metadata, "losses").items()}
        pictures = {
            key: base64.b64decode(metadata[key], validate=True)
            for key in PICTURES
            if key in metadata
        }
        palette = _palette_of(path, metadata)
    except (ValueError, binascii.Error) as error:
        raise CheckpointError(
            f"{path}: its header is damaged ({error}); download or save it again."
        ) from error
    weights, statistics = split_statistics(path, file)
    return AdaptedStyle(
        fast_weights={name: tensor.float() for name, tensor in weights.items()},
        base_sha256=metadata["base_sha256"],
        mode=mode,
        name=metadata.get("name", Path(path).stem),
        settings=parse_json(path, metadata, "settings"),
        losses=losses,
        statistics=statistics,
        palette=palette,
        **{key: data for key, data in pictures.items() if _is_picture(data)},
    )


def _palette_of(path: Path | str, metadata: Mapping[str, str]) -> Palette | None:
    if "palette" not in metadata:
        return None
    return Palette.from_header(parse_json(path, metadata, "palette"))


def _is_picture(data: bytes) -> bool:
    try:
        with Image.open(BytesIO(data)) as image:
            image.verify()
    except (Image.DecompressionBombError, *DECODER_ERRORS):
        return False
    return True


def check_style(style: AdaptedStyle, base: Base) -> None:
    """Refuse a style that does not fit a base, before any device memory is touched.

    Raises:
        BaseMismatchError: it belongs to another base.
        CheckpointError: its tensors are not those its mode needs.
    """
    style.require_base(base)
    own = dict(base.network.named_parameters())
    expected = {name: own[name].shape for name in adapted_parameter_names(base.network, style.mode)}
    if style.mode == "low_rank":
        expected |= update_shapes(own, style.fast_weights)
    found = {name: tensor.shape for name, tensor in style.fast_weights.items()}
    if found != expected:
        wrong = sorted(
            name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
        )
        raise CheckpointError(
            f"Style '{style.name}' has missing, unknown or misshapen tensors {wrong[:3]}; "
            "adapt it again."
        )
