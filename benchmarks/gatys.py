"""Gatys et al. 2016: a picture found by optimisation, the quality that others aim at.

Our own implementation from the paper's mathematics, by its two losses alone: L-BFGS on the
pixels, started from the content or from any other picture.
"""

from dataclasses import replace

import torch
from torch import Tensor

from metastyle_core.encoder import PerceptualEncoder
from metastyle_core.losses import LossSettings, content_layers, perceptual_loss, style_target
from metastyle_core.style_distance import StyleDistance

_SEED = 0
_CONTENT_AND_STYLE = LossSettings(
    content_distance="plain",
    palette_weight=1.0,
    nearest_weight=0.0,
    chroma_weight=0.0,
    detail_weight=0.0,
    hatching_weight=0.0,
    blotch_weight=0.0,
)


def optimise_picture(
    encoder: PerceptualEncoder,
    content: Tensor,
    style_image: Tensor,
    *,
    iterations: int,
    distance: StyleDistance,
    start: Tensor | None = None,
) -> Tensor:
    """Optimise the pixels of one picture.

    Args:
        encoder: of the perceptual loss, frozen.
        content: (1, 3, H, W), [0, 1].
        style_image: (1, 3, H', W'), [0, 1].
        iterations: of L-BFGS, each with up to 1.25 evaluations of the loss.
        distance: how picture and style are compared.
        start: (1, 3, H, W), [0, 1]; the content when left out.

    Returns:
        (1, 3, H, W), [0, 1].

    Source:
        Gatys, Ecker, Bethge 2016, equations 1 to 7; L-BFGS as in section 3.
    """
    settings = replace(_CONTENT_AND_STYLE, style_distance=distance)
    with torch.no_grad():
        layers = content_layers(encoder.spec, settings.content_distance)
        targets = encoder(content, layers)
        goal = style_target(
            [encoder(style_image, encoder.spec.style_layers)],
            [style_image],
            settings.style_distance,
            torch.Generator().manual_seed(_SEED),
        )
    picture = (content if start is None else start).clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [picture],
        max_iter=iterations,
        max_eval=iterations * 5 // 4,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        # Values outside [0, 1] cannot be shown; pulling them back is part of the loss.
        outside = (picture - picture.clamp(0, 1)).square().sum()
        # The line search needs one function: every evaluation draws the same.
        generator = torch.Generator().manual_seed(_SEED)
        terms = perceptual_loss(
            picture, content, encoder(picture), targets, goal, settings, generator
        )
        total = terms.total.mean() + outside
        total.backward()
        return total

    optimizer.step(evaluate)
    return picture.detach().clamp(0, 1)
