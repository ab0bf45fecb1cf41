"""What a predictor reads off a style, by hand."""

import torch

from metastyle_core.initialisation import style_statistics


def test_means_deviations_and_signed_roots_of_covariances_by_hand():
    # Two channels that go against each other, (0, 2) and (3, -5): covariance -4.
    features = {"b": torch.tensor([[[[0.0, 2.0]], [[3.0, -5.0]]]]), "a": torch.zeros(1, 1, 1, 2)}
    found = style_statistics(features, covariances=2)
    means_and_deviations = [0, 0, 1, -1, 1, 4]
    # Of layer a the one variance, of b the triangle: 1, -4, 16, as roots with their signs.
    assert found.tolist() == [[*means_and_deviations, 0, 1, -2, 4]]


def test_statistics_are_float32_whatever_the_features_are():
    features = {"a": torch.full((1, 1, 64, 64), 1.001).bfloat16()}
    assert style_statistics(features, covariances=1).dtype == torch.float32
