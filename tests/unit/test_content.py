"""Contents to adapt on: deterministic, in range, varied."""

import pytest
import torch
from samples import picture
from torch import Generator

from metastyle_core.content import crop_contents, procedural_contents
from metastyle_core.errors import SettingsError


def make(seed: int, **changes) -> torch.Tensor:
    given = {"count": 6, "size_px": 64, "style_images": [picture(80, 70)], **changes}
    return procedural_contents(generator=Generator().manual_seed(seed), **given)


def test_procedural_contents_are_deterministic_and_in_range():
    contents = make(1)
    assert contents.shape == (6, 3, 64, 64)
    assert 0 <= contents.min() <= contents.max() <= 1
    assert torch.equal(contents, make(1))
    assert not torch.equal(contents, make(2))


def test_they_differ_from_one_another_and_have_edges_and_contrast():
    contents = make(1, count=8, style_images=[])
    flat = contents.flatten(1)
    assert torch.cdist(flat, flat).fill_diagonal_(1e9).min() > 5
    steps = (contents[..., 1:] - contents[..., :-1]).abs().amax((1, 2, 3))
    assert (steps > 0.1).all(), "every picture has an edge"
    assert (contents.std((1, 2, 3)) > 0.05).all()


def test_a_quarter_are_crops_of_the_style():
    red = torch.zeros(1, 3, 64, 64)
    red[:, 0] = 1
    contents = make(1, count=8, style_images=[red])
    assert int((contents - red).abs().amax((1, 2, 3)).lt(1e-6).sum()) == 2


def test_crops_use_every_image_and_any_size(generator):
    images = [picture(64, 200, seed=1), picture(500, 90, seed=2), torch.zeros(1, 3, 30, 30)]
    crops = crop_contents(images, 6, 64, generator)
    assert crops.shape == (6, 3, 64, 64)
    assert int(crops.amax((1, 2, 3)).eq(0).sum()) == 2
    with pytest.raises(SettingsError, match="content image"):
        crop_contents([], 2, 64, generator)
