"""Pictures that a student judged: whose they are, and what becomes of failures."""

import pytest
import torch
from samples import TINY_SPEC
from torch import Generator

from metastyle_core import adaptation
from metastyle_core.encoder import PerceptualEncoder
from metastyle_core.errors import AdaptationDiverged, TrainingError
from metastyle_core.training import judged_pictures


def make_supply(base, judge, pool, size_px=64) -> judged_pictures.JudgedPictures:
    return judged_pictures.JudgedPictures(
        base, judge, pool, pool, size_px=size_px, precision="fp32"
    )


@pytest.mark.usefixtures("few_judged_steps")
def test_judged_pictures_depend_on_the_judge_and_are_given_once(random_base, tiny_encoder, pool):
    def drawn(judge, times=1):
        supply, generator = make_supply(random_base, judge, pool), Generator().manual_seed(0)
        return [supply.draw(2, generator) for _ in range(times)]

    first, second = drawn(tiny_encoder, times=2)
    assert first.shape == (2, 3, 64, 64)
    assert not any(torch.equal(a, b) for a in first for b in second)
    assert torch.equal(drawn(tiny_encoder)[0], first)
    other = PerceptualEncoder(TINY_SPEC).requires_grad_(False)
    assert not torch.equal(drawn(other)[0], first)


@pytest.mark.usefixtures("few_judged_steps")
def test_judged_pictures_are_the_very_ones_whose_loss_was_taken(
    random_base, tiny_encoder, pool, monkeypatch
):
    original, judged = adaptation.perceptual_loss, []

    def look(stylized, *rest):
        judged.extend(stylized.detach())
        return original(stylized, *rest)

    monkeypatch.setattr(adaptation, "perceptual_loss", look)
    drawn = make_supply(random_base, tiny_encoder, pool).draw(4, Generator().manual_seed(0))
    assert len(judged) == 4
    for picture in drawn:
        assert any(torch.equal(picture, each) for each in judged)


@pytest.mark.usefixtures("few_judged_steps")
def test_adaptations_that_diverge_give_no_pictures(random_base, tiny_encoder, pool, monkeypatch):
    real, calls = judged_pictures.adapt_to_style, []

    def diverge(*arguments, **options):
        calls.append(1)
        style = real(*arguments, **options)
        if len(calls) != 3:
            raise AdaptationDiverged("the loss exploded")
        return style

    monkeypatch.setattr(judged_pictures, "adapt_to_style", diverge)
    supply, generator = make_supply(random_base, tiny_encoder, pool), Generator().manual_seed(0)
    assert len(supply.draw(2, generator)) == 2
    assert len(calls) == 3
    # Two of the four that waited are left; more are needed, and none comes.
    with pytest.raises(TrainingError, match="10 adaptations in a row"):
        supply.draw(2, generator)
    assert len(calls) == 13
