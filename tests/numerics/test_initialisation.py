"""What a predictor reads off a style, by hand."""

import torch

from metastyle_core.initialisation import style_statistics


def test_means_and_deviations_by_hand():
    features = {"b": torch.tensor([[[[0.0, 2.0]], [[3.0, -5.0]]]]), "a": torch.zeros(1, 1, 1, 2)}
    # Layer a first, and of each layer the means before the deviations.
    assert style_statistics(features).tolist() == [[0, 0, 1, -1, 1, 4]]


def test_statistics_are_float32_whatever_the_features_are():
    features = {"a": torch.full((1, 1, 64, 64), 1.001).bfloat16()}
    assert style_statistics(features).dtype == torch.float32
