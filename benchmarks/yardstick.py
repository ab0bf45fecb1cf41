"""What the style error means: how far apart two pieces of one painting are by the same measure.

python -m benchmarks.yardstick --styles DIR --encoder-weights FILE
"""

import argparse
import sys
from pathlib import Path

from torch import Tensor

from metastyle_core.cli.options import positive_int
from metastyle_core.encoder import PerceptualEncoder, load_encoder
from metastyle_core.images import list_images, load_batch, resize_short_side
from metastyle_core.measures import geometric_mean, measure


def main() -> None:
    """Measure every painting and print the geometric means, over all layers and by layer."""
    parser = argparse.ArgumentParser(description="Compare pieces of one painting.")
    parser.add_argument("--styles", type=Path, required=True, metavar="DIR")
    parser.add_argument("--encoder-weights", type=Path, required=True, help="vgg19_caffe")
    parser.add_argument("--size", type=positive_int, default=384)
    arguments = parser.parse_args()
    judge = load_encoder("vgg19_caffe", weights=arguments.encoder_weights)
    errors: dict[str, list[float]] = {}
    for path in list_images(arguments.styles):
        for name, error in errors_within(judge, load_batch(path), arguments.size).items():
            errors.setdefault(name, []).append(error)
    for name, values in errors.items():
        sys.stdout.write(f"{name} {geometric_mean(values):.3g}\n")


def errors_within(judge: PerceptualEncoder, painting: Tensor, size_px: int) -> dict[str, float]:
    """Style errors of the last corner of a painting as a picture in the style of its first.

    Args:
        judge: whose features are compared.
        painting: (1, 3, H, W), [0, 1]; it is resized so that the corners are squares of
            two thirds of its short side.
        size_px: side of the two squares. In a square painting they share a quarter of
            each, in one of 2 to 3 or longer nothing.

    Returns:
        `style`, the mean over the layers, and each layer's, such as `style_relu1_2`.
    """
    resized = resize_short_side(painting, size_px * 3 // 2)
    first, last = resized[..., :size_px, :size_px], resized[..., -size_px:, -size_px:]
    found = measure(judge, last, last, first)
    names = ["style", *(f"style_{layer}" for layer in judge.spec.style_layers)]
    return {name: found[name] for name in names}


if __name__ == "__main__":
    main()
