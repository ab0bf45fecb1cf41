"""Draw the pictures that ship with the package; all are our own work.

`style.webp` is an abstract painting of curved brush strokes: the style of the demo.
`scene.webp` is a small landscape: every style's thumbnail shows it.
`icon.png` is the pack's icon: two peaks that make an M, on the same strokes.

    python tools/draw_artwork.py
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "metastyle_core" / "artwork"
ICON = ROOT / "docs" / "images" / "icon.png"
Array = NDArray[np.float64]

PALETTE = [
    (16, 42, 92), (24, 84, 140), (42, 132, 168), (118, 188, 190), (236, 214, 150),
    (240, 168, 58), (214, 92, 38), (150, 36, 40), (88, 24, 56),
]  # fmt: skip


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Array:
    """A smooth random field (size, size) around 0, with about `cells` bumps a side."""
    coarse = rng.standard_normal((cells + 3, cells + 3))
    image = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float64)


def palette_colour(position: float, jitter: Array) -> tuple[int, int, int]:
    """A colour of the palette at [0, 1], slightly varied."""
    place = float(np.clip(position, 0, 0.999)) * (len(PALETTE) - 1)
    low = int(place)
    mixed = np.array(PALETTE[low]) * (1 - place + low) + np.array(PALETTE[low + 1]) * (place - low)
    red, green, blue = np.clip(mixed + jitter, 0, 255).astype(int)
    return int(red), int(green), int(blue)


def draw_style(size: int = 512, zoom: int = 3, seed: int = 7) -> Image.Image:
    """Thousands of short strokes that follow a swirling field, broad ones first."""
    rng = np.random.default_rng(seed)
    full = size * zoom
    angle = smooth_noise(rng, size, 4) * 1.6 + smooth_noise(rng, size, 9) * 0.4
    hue = smooth_noise(rng, size, 3)
    hue = (hue - hue.min()) / (hue.max() - hue.min())
    image = Image.new("RGB", (full, full), PALETTE[0])
    draw = ImageDraw.Draw(image)
    for width, length, count in ((13, 60, 2600), (8, 46, 5200), (4, 30, 5200)):
        for _ in range(count):
            x, y = rng.uniform(0, size, 2)
            tone = hue[int(y), int(x)] + rng.normal(0, 0.07)
            shade = rng.normal(0, 10) + rng.normal(0, 6, 3)
            stroke(draw, angle, (x, y), (width, length), palette_colour(tone, shade), zoom)
    return image.resize((size, size), Image.Resampling.LANCZOS)


def stroke(
    draw: ImageDraw.ImageDraw,
    angle: Array,
    start: tuple[float, float],
    shape: tuple[int, int],
    colour: tuple[int, int, int],
    zoom: int,
) -> None:
    """One curved stroke with bristles: a body and two lighter or darker hairs."""
    width, length = shape
    limit = angle.shape[0] - 1
    points = [start]
    for _ in range(length // 3):
        x, y = points[-1]
        turn = angle[int(np.clip(y, 0, limit)), int(np.clip(x, 0, limit))]
        points.append((x + 3 * math.cos(turn), y + 3 * math.sin(turn)))
    hairs = ((0.0, 1.0, 0), (-0.3, 0.25, 26), (0.25, 0.2, -24))
    for offset, thickness, shade in hairs:
        line = [
            ((x - width * offset * 0.7) * zoom, (y + width * offset * 0.7) * zoom)
            for x, y in points
        ]
        fill = tuple(int(np.clip(c + shade, 0, 255)) for c in colour)
        draw.line(line, fill=fill, width=max(1, round(width * thickness * zoom)), joint="curve")
    radius = width * zoom / 2
    for x, y in (points[0], points[-1]):
        box = (x * zoom - radius, y * zoom - radius, x * zoom + radius, y * zoom + radius)
        draw.ellipse(box, fill=colour)


def draw_scene(size: int = 256, zoom: int = 4, seed: int = 3) -> Image.Image:
    """Sky, sun, mountains, a lake, a house and trees, softly shaded."""
    rng = np.random.default_rng(seed)
    full = size * zoom
    rows = np.linspace(0, 1, full)[:, None, None]
    sky = np.array([92, 150, 205]) * (1 - rows) + np.array([250, 222, 180]) * rows
    clouds = smooth_noise(rng, full, 6) + 0.5 * smooth_noise(rng, full, 14)
    cover = np.clip(clouds - 0.4, 0, 1)[..., None] * np.clip(1 - 1.6 * rows, 0, 1)
    canvas = np.broadcast_to(sky, (full, full, 3)) * (1 - cover) + 250 * cover
    image = Image.fromarray(canvas.astype(np.uint8))
    draw = ImageDraw.Draw(image)

    def px(*values: float) -> list[float]:
        return [value * full for value in values]

    draw.ellipse(px(0.68, 0.10, 0.84, 0.26), fill=(255, 240, 190))
    ridges = (
        ((120, 140, 178), 0.44, 0.17), ((84, 108, 140), 0.52, 0.13), ((58, 92, 88), 0.60, 0.07),
    )  # fmt: skip
    for colour, base, height in ridges:
        steps = np.linspace(0, 1, 60)
        bumps = np.cumsum(rng.normal(0, 1, 60))
        bumps = (bumps - bumps.min()) / (bumps.max() - bumps.min())
        outline = [
            (float(x) * full, (base - height * float(b)) * full)
            for x, b in zip(steps, bumps, strict=True)
        ]
        draw.polygon([*outline, (full, full), (0, full)], fill=colour)
    draw.polygon(px(0, 0.66, 1, 0.60, 1, 1, 0, 1), fill=(96, 140, 70))
    draw.ellipse(px(0.30, 0.74, 1.25, 1.15), fill=(70, 128, 168))
    for _ in range(90):
        x, y = rng.uniform(0.35, 1.0), rng.uniform(0.79, 1.0)
        shine = int(rng.uniform(110, 220))
        draw.line(px(x, y, x + 0.06, y), fill=(shine - 40, shine, 230), width=zoom)
    draw.polygon(px(0.12, 0.62, 0.30, 0.60, 0.30, 0.78, 0.12, 0.80), fill=(214, 186, 150))
    draw.polygon(px(0.30, 0.60, 0.38, 0.57, 0.38, 0.73, 0.30, 0.78), fill=(168, 136, 108))
    draw.polygon(px(0.09, 0.63, 0.19, 0.48, 0.33, 0.60), fill=(170, 62, 44))
    draw.polygon(px(0.19, 0.48, 0.30, 0.47, 0.41, 0.57, 0.33, 0.60), fill=(132, 44, 36))
    draw.rectangle(px(0.19, 0.68, 0.235, 0.79), fill=(84, 56, 44))
    draw.rectangle(px(0.25, 0.655, 0.28, 0.70), fill=(250, 226, 130))
    for x, y, scale in ((0.55, 0.72, 1.0), (0.64, 0.70, 0.7), (0.04, 0.74, 1.2), (0.90, 0.68, 0.8)):
        draw.rectangle(px(x - 0.008, y - 0.1 * scale, x + 0.008, y), fill=(76, 54, 40))
        for _ in range(46):
            dx, dy = rng.normal(0, 0.03 * scale, 2)
            tone = int(rng.uniform(-26, 30))
            cx, cy, r = x + dx, y - 0.14 * scale + dy, 0.017 * scale
            draw.ellipse(px(cx - r, cy - r, cx + r, cy + r), fill=(58 + tone, 106 + tone, 52))
    soft = image.filter(ImageFilter.GaussianBlur(zoom * 0.4))
    return soft.resize((size, size), Image.Resampling.LANCZOS)


def draw_icon(size: int = 400, zoom: int = 4) -> Image.Image:
    """A rounded square of strokes with a white ridge and a sun; transparent corners."""
    full = size * zoom
    box = (96, 40, 96 + 240, 40 + 240)
    image = draw_style().crop(box).resize((full, full), Image.Resampling.LANCZOS)
    image = Image.blend(image, Image.new("RGB", image.size, PALETTE[0]), 0.28)
    draw = ImageDraw.Draw(image)
    ridge = ((0.15, 0.80), (0.36, 0.36), (0.52, 0.62), (0.66, 0.42), (0.85, 0.80))
    points = [(x * full, y * full) for x, y in ridge]
    width, paper = round(0.085 * full), (252, 249, 240)
    draw.line(points, fill=paper, width=width, joint="curve")
    for x, y in points:
        draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=paper)
    x, y, radius = 0.72 * full, 0.22 * full, 0.075 * full
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=PALETTE[5])
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, full, full), radius=0.2 * full, fill=255)
    image.putalpha(mask)
    return image.resize((size, size), Image.Resampling.LANCZOS)


def main() -> None:
    """Write the pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    ICON.parent.mkdir(parents=True, exist_ok=True)
    draw_style().save(FOLDER / "style.webp", quality=88, method=6)
    draw_scene().save(FOLDER / "scene.webp", quality=90, method=6)
    draw_icon().quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(ICON, optimize=True)


if __name__ == "__main__":
    main()
