"""What takes any bytes, and small valid files to begin from.

The rule is one for all: bytes give a result, or one of the package's own errors. What else
comes out, or takes more memory than there is, is a fault. `test_fuzz.py` feeds a seeded few
in the suite, `run.py` as many as time allows.
"""

import asyncio
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import safetensors.torch
import torch
from PIL import Image
from samples import TINY_SPEC, low_rank_style, picture
from unit.fake_host import FakeHost

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import Base, Predictor, load_base, save_base
from metastyle_core.checkpoint import content_hash, read_tensors, write_tensors
from metastyle_core.cli.info import describe
from metastyle_core.encoder import ENCODER_FORMAT, PerceptualEncoder, load_encoder
from metastyle_core.errors import MetaStyleError
from metastyle_core.images import load_image
from metastyle_core.initialisation import PredictorSize, StylePredictor
from metastyle_core.network import StylizationNetwork
from metastyle_core.style import STYLE_FORMAT, AdaptedStyle, load_style, save_style
from metastyle_core.stylization import stylize

_PICTURE, _PAINTING = picture(16, 20), picture(64, 64)
_MOST_PIXELS = 1_000_000
_STATUSES = frozenset({200, 400, 403, 404})
_CHANGES = ("POST /metastyle/styles/rename", "POST /metastyle/styles/delete")
_FOLDER = "metastyle_styles"
_HERE = {"Content-Type": "application/json", "Host": "here:8188"}


def tiny_base() -> Base:
    """An untrained base of two hundred kilobytes, the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        network = StylizationNetwork(channels=4, blocks=1).requires_grad_(False).eval()
        encoder = PerceptualEncoder(TINY_SPEC).requires_grad_(False).eval()
        predictor = StylePredictor(network, encoder, PredictorSize(8)).requires_grad_(False)
    return Base(network, Predictor(predictor, encoder), content_hash(network.state_dict()), {})


class Readers:
    """Readers of files, each fed from one place on the disk."""

    def __init__(self, folder: Path) -> None:
        """Take a folder that is there."""
        self._folder = folder
        self._base = tiny_base()

    def style(self, data: bytes) -> None:
        """Describe a style, read it and draw in it."""
        for path in self._tensor_files(data):
            with _own_errors():
                describe(path, read_tensors(path, file_format=STYLE_FORMAT))
            with _own_errors():
                stylize(self._base, load_style(path), _PICTURE, precision="fp32")

    def base(self, data: bytes) -> None:
        """Read a base, and draw in an instant style of it."""
        for path in self._tensor_files(data):
            with _own_errors():
                base = load_base(path)
                stylize(base, _instant(base), _PICTURE, precision="fp32")

    def encoder(self, data: bytes) -> None:
        """Read an encoder and look at a picture."""
        for path in self._tensor_files(data):
            with _own_errors():
                encoder = load_encoder("compact", weights=path)
                encoder(_PICTURE, encoder.taps)

    def image(self, data: bytes) -> None:
        """Read a picture; its values are in [0, 1]."""
        path = self._folder / "picture.png"
        path.write_bytes(data)
        with _own_errors():
            loaded = load_image(path, max_pixels=_MOST_PIXELS)
            channels = [loaded.pixels] if loaded.alpha is None else [loaded.pixels, loaded.alpha]
            least, most = torch.cat(channels).aminmax()
            assert 0 <= least <= most <= 1

    def _tensor_files(self, data: bytes) -> Iterator[Path]:
        """The bytes as they are, and once more with the checksum that fits them."""
        path = self._folder / "file.safetensors"
        path.write_bytes(data)
        yield path
        try:
            tensors = safetensors.torch.load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            write_tensors(path, tensors, file_format="", metadata=header["__metadata__"])
        except Exception:  # noqa: BLE001 - what the library refuses has no checksum
            return
        yield path


class Routes:
    """The requests that read and change styles, to a library of one."""

    def __init__(self, host: FakeHost) -> None:
        """Take a host that has loaded the pack; beside its styles lies one not to be changed."""
        self._routes = host.routes
        self._outside = host.models_dir / "outside"
        for folder, name in ((self._outside, "secret"), (host.models_dir / _FOLDER, "wave")):
            folder.mkdir(parents=True, exist_ok=True)
            save_style(_instant(tiny_base()), folder / f"{name}.safetensors")
        self._before = _contents(self._outside)

    def change(self, data: bytes) -> None:
        """Send a body; the first byte chooses the route."""
        route = _CHANGES[data[0] % len(_CHANGES)] if data else _CHANGES[0]

        async def read() -> object:
            return json.loads(data[1:])

        answer = asyncio.run(self._routes[route](SimpleNamespace(json=read, headers=_HERE)))
        assert answer.status in _STATUSES
        assert _contents(self._outside) == self._before

    def thumbnail(self, data: bytes) -> None:
        """Ask for the picture of a style of any name."""
        request = SimpleNamespace(query={"name": data.decode("utf-8", "surrogateescape")})
        answer = asyncio.run(self._routes["GET /metastyle/styles/thumbnail"](request))
        assert answer.status in _STATUSES


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except MetaStyleError as error:
        assert str(error)  # noqa: PT017 - that it is one of ours is the point


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _instant(base: Base, mode: str = "norm") -> AdaptedStyle:
    settings = AdaptationSettings(steps=0, style_size_px=64, mode=mode)
    return adapt_to_style(base, None, [_PAINTING], settings=settings)


def style_seeds() -> list[bytes]:
    """Style files: of mode norm with a thumbnail, low_rank, full in half precision."""
    base = tiny_base()
    styles = [
        _instant(base).with_thumbnail(_PICTURE),
        low_rank_style(base, 0, rank=1),
        _instant(base, "full"),
    ]
    halves = (False, False, True)
    return [
        _written(lambda path, s=style, h=half: save_style(s, path, half=h))
        for style, half in zip(styles, halves, strict=True)
    ]


def base_seeds() -> list[bytes]:
    """Base files, with a predictor and without."""
    base = tiny_base()
    return [
        _written(lambda path, p=predictor: save_base(path, base.network, p, {"updates": 1}))
        for predictor in (base.predictor, None)
    ]


def encoder_seeds() -> list[bytes]:
    """An encoder file."""
    encoder = tiny_base().predictor.encoder
    metadata = {"spec": json.dumps(encoder.spec.to_json())}
    return [
        _written(
            lambda path: write_tensors(
                path, encoder.state_dict(), file_format=ENCODER_FORMAT, metadata=metadata
            )
        )
    ]


def image_seeds() -> list[bytes]:
    """Pictures of every format and depth that Pillow writes."""
    rgb = Image.fromarray((_PICTURE[0].movedim(0, -1) * 255).byte().numpy())
    gray16 = Image.fromarray((_PICTURE[0, 0] * 65535).to(torch.uint16).numpy())
    floating = Image.fromarray(_PICTURE[0, 0].numpy())
    exif = Image.Exif()
    exif[274], exif[33432] = 6, "nobody"
    kinds = [
        ("PNG", rgb, {"exif": exif}), ("PNG", rgb.convert("RGBA"), {}), ("PNG", gray16, {}),
        ("PNG", rgb.convert("P"), {"transparency": 3}), ("PNG", rgb.convert("1"), {}),
        ("JPEG", rgb, {"exif": exif, "dpi": (72, 72)}), ("JPEG", rgb.convert("CMYK"), {}),
        ("WEBP", rgb, {}), ("WEBP", rgb, {"lossless": True}), ("BMP", rgb, {}), ("GIF", rgb, {}),
        ("TIFF", rgb, {"compression": "tiff_deflate"}), ("TIFF", gray16, {}),
        ("TIFF", floating, {}), ("MPO", rgb, {}), ("AVIF", rgb, {}),
    ]  # fmt: skip
    return [_encoded(image, kind, options) for kind, image, options in kinds]


def request_seeds() -> list[bytes]:
    """Bodies behind the byte that chooses the route."""
    bodies = [{"name": "wave", "new_name": "sea/big"}, {"name": "wave"}]
    return [bytes([i]) + json.dumps(body).encode() for i, body in enumerate(bodies)]


def _encoded(image: Image.Image, kind: str, options: dict[str, object]) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _written(write: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seed.safetensors"
        write(path)
        return path.read_bytes()
