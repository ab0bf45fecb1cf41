"""The AdaIN peer of the benchmarks: its decoder and its training."""

import torch
from torch import Generator

from benchmarks.adain import DEEPEST, STYLE_LAYERS, AdainDecoder, AdainTraining
from metastyle_core.encoder import EncoderSpec, PerceptualEncoder
from metastyle_core.training.recipe import Shard


def test_an_adain_decoder_sees_features_in_units_of_their_size(pool):
    decoder, features = AdainDecoder(), torch.rand(1, 512, 4, 4)
    drawn = decoder(features)
    decoder.get_buffer("feature_size").fill_(100.0)
    torch.testing.assert_close(decoder(100 * features), drawn)
    assert not torch.allclose(decoder(features), drawn)


def test_an_adain_decoder_without_a_finite_loss_names_the_same_metrics(pool):
    spec = EncoderSpec(
        "thin", ((4,), (4,), (4,), (512,)), content_layers=(DEEPEST,), style_layers=STYLE_LAYERS
    )
    encoder = PerceptualEncoder(spec).requires_grad_(False)
    recipe = AdainTraining(
        encoder, pool, pool, batch=2, crop_px=64, device=torch.device("cpu"), seed=0
    )
    good = recipe.accumulate_gradients(Generator().manual_seed(0), Shard())
    with torch.no_grad():
        recipe.modules.output.bias.fill_(float("nan"))
    bad = recipe.accumulate_gradients(Generator().manual_seed(0), Shard())
    assert (good.count, bad.count, bad.skipped) == (2, 0, 2)
    assert bad.metrics == dict.fromkeys(good.metrics, 0.0)
