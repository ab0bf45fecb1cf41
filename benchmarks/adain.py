"""Huang & Belongie 2017 (AdaIN): arbitrary style transfer without adaptation.

Our own implementation from the paper's mathematics: the content's VGG features take on the
style's channel means and deviations, and a trained decoder turns them back into a picture.
The decoder is a recipe for the same trainer, on the same images, as the base.

    python -m benchmarks.adain --content DIR --style DIR --encoder-weights FILE -o RUN
"""

import argparse
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Generator, Tensor, nn

from metastyle_core.checkpoint import fill_module, read_tensors, write_tensors
from metastyle_core.cli.options import add_compute_options, add_training_data_options, positive_int
from metastyle_core.cli.training_run import run_training
from metastyle_core.encoder import PerceptualEncoder, load_encoder
from metastyle_core.images import contact_sheet
from metastyle_core.network import ReflectConv
from metastyle_core.precision import autocast
from metastyle_core.seeding import seeded
from metastyle_core.training.data import ImagePool
from metastyle_core.training.recipe import Outcome, Shard

DEEPEST = "relu4_1"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
STYLE_WEIGHT = 10.0
DECODER_FILE = "adain_decoder.safetensors"
_FORMAT = "metastyle.benchmark.adain"
_WIDTHS = ((512, 256, True), (256, 256, False), (256, 256, False), (256, 256, False),
           (256, 128, True), (128, 128, False), (128, 64, True), (64, 64, False))  # fmt: skip


class AdainDecoder(nn.Module):
    """The mirror image of VGG up to relu4_1, with nearest-neighbour enlargement."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([ReflectConv(i, o, 3) for i, o, _ in _WIDTHS])
        self.output = ReflectConv(64, 3, 3)
        # Features of the released VGG are hundreds large; layers learn on values of about 1.
        self.register_buffer("feature_size", torch.ones(()))

    def forward(self, features: Tensor) -> Tensor:
        """Turn (B, 512, H/8, W/8) features into (B, 3, H, W) pictures, unbounded."""
        features = features / self.get_buffer("feature_size")
        for layer, (_, _, enlarge) in zip(self.layers, _WIDTHS, strict=True):
            features = F.relu(layer(features))
            if enlarge:
                features = F.interpolate(features, scale_factor=2, mode="nearest")
        return self.output(features)


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel of (B, C, H, W), each (B, C, 1, 1)."""
    flat = features.float().flatten(2)
    deviation = (flat.var(2, correction=0) + 1e-5).sqrt()
    return flat.mean(2)[..., None, None], deviation[..., None, None]


def adapt_moments(content: Tensor, style: Tensor) -> Tensor:
    """Give content features the style features' moments (equation 8 of the paper)."""
    content_mean, content_deviation = moments(content)
    style_mean, style_deviation = moments(style)
    return (content.float() - content_mean) / content_deviation * style_deviation + style_mean


@torch.inference_mode()
def stylize_adain(
    encoder: PerceptualEncoder, decoder: AdainDecoder, content: Tensor, style_image: Tensor
) -> Tensor:
    """Stylize one picture.

    Args:
        encoder: VGG-19.
        decoder: trained for it.
        content: (1, 3, H, W), [0, 1]; H and W multiples of 8.
        style_image: (1, 3, H', W'), [0, 1].

    Returns:
        (1, 3, H, W), [0, 1].
    """
    target = adapt_moments(
        encoder(content, [DEEPEST])[DEEPEST], encoder(style_image, [DEEPEST])[DEEPEST]
    )
    return decoder(target).clamp(0, 1)


def load_decoder(path: Path) -> AdainDecoder:
    """Read a trained decoder."""
    decoder = AdainDecoder().requires_grad_(False)
    fill_module(path, decoder, read_tensors(path, file_format=_FORMAT).tensors)
    return decoder


class AdainTraining:
    """The recipe: contents and styles at random, losses of the paper's section 5."""

    def __init__(
        self,
        encoder: PerceptualEncoder,
        contents: ImagePool,
        styles: ImagePool,
        *,
        batch: int,
        crop_px: int,
        device: torch.device,
        seed: int,
    ) -> None:
        self._encoder, self._device = encoder.to(device), device
        self._contents, self._styles, self._batch, self._crop = contents, styles, batch, crop_px
        with seeded(seed):
            self._decoder = AdainDecoder().to(device)
        size = self._feature_size(Generator().manual_seed(seed))
        self._decoder.get_buffer("feature_size").fill_(size)

    @property
    def modules(self) -> nn.Module:
        """The decoder; the encoder stays as it is."""
        return self._decoder

    def _feature_size(self, generator: Generator) -> float:
        crops = self._contents.draw(4, self._crop, generator)
        pictures = self._contents.read(crops, self._crop).to(self._device)
        with torch.no_grad():
            return float(self._encoder(pictures, [DEEPEST])[DEEPEST].square().mean().sqrt())

    def _draw(self, generator: Generator) -> tuple[Tensor, Tensor]:
        pools = (self._contents, self._styles)
        drawn = [pool.draw(self._batch, self._crop, generator) for pool in pools]
        contents, styles = (pool.read(d, self._crop) for pool, d in zip(pools, drawn, strict=True))
        return contents.to(self._device), styles.to(self._device)

    def accumulate_gradients(self, generator: Generator, shard: Shard) -> Outcome:
        """Content loss against the adapted features, style loss on moments."""
        contents, styles = self._draw(generator)
        contents = contents[shard.rank :: shard.world_size]
        styles = styles[shard.rank :: shard.world_size]
        with torch.no_grad(), autocast("auto", self._device, gradients=True):
            of_style = self._encoder(styles, STYLE_LAYERS)
            of_content = self._encoder(contents, [DEEPEST])[DEEPEST]
        target = adapt_moments(of_content, of_style[DEEPEST])
        with autocast("auto", self._device, gradients=True):
            features = self._encoder(self._decoder(target).float(), STYLE_LAYERS)
        unit = target.square().mean(dim=(1, 2, 3))
        content = (features[DEEPEST].float() - target).square().mean(dim=(1, 2, 3)) / unit
        style = torch.zeros_like(content)
        for layer in STYLE_LAYERS:
            (mean, deviation), (to_mean, to_deviation) = (
                moments(features[layer]), moments(of_style[layer]),
            )  # fmt: skip
            size = (to_mean.square() + to_deviation.square()).mean(dim=(1, 2, 3))
            errors = (mean - to_mean).square() + (deviation - to_deviation).square()
            style = style + errors.mean(dim=(1, 2, 3)) / size
        loss = content + STYLE_WEIGHT * style
        terms = {"content": content, "style": style, "loss": loss}
        if not bool(torch.isfinite(loss).all()):
            return Outcome(0, len(loss), dict.fromkeys(terms, 0.0))
        loss.sum().backward()
        return Outcome(len(loss), 0, {k: float(v.detach().sum()) for k, v in terms.items()})

    def keep_beside(self, checkpoint: Path) -> None:
        """Nothing: the encoder is named when the run is resumed."""

    def take_from(self, checkpoint: Path) -> None:
        """Nothing."""

    def draw_picture(self) -> Tensor:
        """Two rows: contents, and the contents in as many styles."""
        contents, styles = self._draw(Generator().manual_seed(1))
        drawn = [
            stylize_adain(self._encoder, self._decoder, c[None], s[None])[0]
            for c, s in zip(contents, styles, strict=True)
        ]
        rows = [list(contents), list(styles), drawn]
        return contact_sheet([[picture.cpu() for picture in row] for row in rows])

    def export(self, folder: Path, provenance: dict[str, object]) -> None:
        """Write the decoder."""
        tensors = {name: tensor.half() for name, tensor in self._decoder.state_dict().items()}
        write_tensors(
            folder / DECODER_FILE, tensors, file_format=_FORMAT,
            metadata={"updates": str(provenance["updates"])},
        )  # fmt: skip


def main() -> None:
    """Train the decoder."""
    parser = argparse.ArgumentParser(description="Train AdaIN's decoder for the benchmark.")
    add_training_data_options(parser)
    parser.add_argument("--batch", type=positive_int, default=4, help="pictures per update")
    parser.add_argument("--crop", type=positive_int, default=128, help="their side in pixels")
    parser.add_argument("--encoder-weights", type=Path, required=True, help="vgg19_caffe")
    add_compute_options(parser)
    run_training(parser.parse_args(), _build)


def _build(
    arguments: argparse.Namespace, device: torch.device, unreadable: list[str]
) -> AdainTraining:
    open_pool = partial(ImagePool.from_folder, manifest=arguments.manifest, unreadable=unreadable)
    return AdainTraining(
        load_encoder("vgg19_caffe", weights=arguments.encoder_weights),
        open_pool(arguments.content),
        open_pool(arguments.style),
        batch=arguments.batch,
        crop_px=arguments.crop,
        device=device,
        seed=arguments.seed,
    )


if __name__ == "__main__":
    main()
