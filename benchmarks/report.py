"""What the benchmark measured, as Markdown tables."""

from collections.abc import Callable, Collection, Sequence

from metastyle_core.measures import geometric_mean, is_geometric

Row = dict[str, float | str | None]
STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
_MAIN = (
    ("style", "sliced style"), ("content", "content"), ("total", "sliced total"),
    ("gram_total", "Gram total"), ("ssim", "SSIM"), ("structure", "structure"),
    ("code_distance", "style code"), ("weave", "weave"), ("hatching", "hatching"),
    ("blotches", "blotches"),
    ("band_1", "finest band"), ("band_2", "2nd"), ("band_3", "3rd"), ("band_4", "4th"),
    ("colour_noise", "colour noise"),
)  # fmt: skip
_COST = (
    ("pan_1", "pan 1 px"), ("pan_2", "2 px"), ("pan_3", "3 px"),
    ("first_picture_s", "first picture, s"), ("picture_s", "next, s"),
    ("file_bytes", "style, KB"), ("peak_mib", "peak, MiB"),
)  # fmt: skip
_LAYERS = tuple((f"style_{layer}", layer) for layer in STYLE_LAYERS)


def report(rows: Sequence[Row], methods: Sequence[str], slow: Collection[str]) -> str:
    """All tables, each with the number of its styles.

    Methods are compared only over the same styles: the fast ones over all, and then
    everything over those that the slow ones saw too.

    Args:
        rows: one per method and style.
        methods: names in the order of the tables.
        slow: the names measured on fewer styles.
    """
    fast = [name for name in methods if name not in slow]
    groups = [fast, methods] if 0 < len(fast) < len(methods) else [methods]
    return "\n".join(_section(rows, group) for group in groups)


def _section(rows: Sequence[Row], methods: Sequence[str]) -> str:
    styles = set.intersection(
        *({row["style_name"] for row in rows if row["method"] == name} for name in methods)
    )
    common = [row for row in rows if row["style_name"] in styles]
    main, cost, layers = (_table(common, methods, columns) for columns in (_MAIN, _COST, _LAYERS))
    return (
        f"Styles: {len(styles)}.\n\n{main}\nSteadiness and cost:\n\n{cost}"
        f"\nSliced style by layer:\n\n{layers}"
    )


def _table(rows: Sequence[Row], methods: Sequence[str], columns: Sequence[tuple[str, str]]) -> str:
    """Geometric means of errors and ratios, the most of memory, means of the rest.

    What a method was not asked for, as stills are not for steadiness, is a dash.
    """
    lines = [
        "| method | " + " | ".join(title for _, title in columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for method in methods:
        group = [row for row in rows if row["method"] == method]
        cells = [_cell(name, [row.get(name) for row in group]) for name, _ in columns]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(name: str, values: Sequence[float | str | None]) -> str:
    numbers = [float(value) for value in values if value is not None]
    if not numbers:
        return "-"
    summary = _summary(name)(numbers) / (1000 if name == "file_bytes" else 1)
    return f"{summary:.0f}" if summary >= 1000 or summary < 1e-9 else f"{summary:.3g}"


def _summary(name: str) -> Callable[[Sequence[float]], float]:
    if is_geometric(name):
        return geometric_mean
    return max if name == "peak_mib" else lambda values: sum(values) / len(values)
