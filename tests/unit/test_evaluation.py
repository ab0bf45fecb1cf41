"""The table of modes and steps."""

import pytest
from samples import picture

from metastyle_core.adaptation import AdaptationSettings
from metastyle_core.errors import SettingsError
from metastyle_core.evaluation import Entry, evaluate, summarise

QUICK = AdaptationSettings(
    batch=2, content_count=2, content_size_px=64, style_size_px=64, precision="fp32"
)


def test_summaries_are_geometric_over_styles():
    def entry(total: float) -> Entry:
        return Entry("s", "norm", 10, 1.0, {"total": total, "ssim": total})

    (row,) = summarise([entry(1.0), entry(4.0)])
    assert row["total"] == pytest.approx(2.0)
    assert row["ssim"] == pytest.approx(2.5)
    assert row["styles"] == 2


def test_evaluation_yields_every_combination_and_hands_over_pictures(random_base, tiny_encoder):
    pictures = []
    entries = list(
        evaluate(
            random_base,
            tiny_encoder,
            tiny_encoder,
            {"one": picture(64, 64, seed=1), "two": picture(64, 64, seed=2)},
            [picture(64, 64, seed=3)],
            modes=["norm", "scratch"],
            steps=[0, 3],
            settings=QUICK,
            on_picture=lambda *told: pictures.append(told[:3]),
        )
    )
    found = [(e.style_name, e.mode, e.steps) for e in entries]
    assert found == [(s, m, n) for s in ("one", "two") for m in ("norm", "scratch") for n in (0, 3)]
    assert pictures == found
    assert all(e.measures["total"] > 0 for e in entries)
    assert {"style", "content", "ssim", "weave", "band_1", "pan_1"} <= entries[0].measures.keys()


def test_unknown_modes_are_refused(random_base, tiny_encoder):
    with pytest.raises(SettingsError, match="scratch"):
        next(
            evaluate(
                random_base, tiny_encoder, tiny_encoder, {"a": picture(64, 64)}, [],
                modes=["other"], steps=[0], settings=QUICK,
            )
        )  # fmt: skip
