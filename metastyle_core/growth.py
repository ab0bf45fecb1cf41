"""Growth: a larger network that begins with what a smaller one does.

Source: function-preserving growth, Chen et al. 2016 (Net2Net).
"""

from collections.abc import Mapping

from torch import Tensor


def grown_weights(larger: Mapping[str, Tensor], smaller: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a larger network of the same layers that does what the smaller one does.

    The smaller network's units come first and do not read the new ones; the new ones keep the
    weights that they have, so that they can learn at once.

    Args:
        larger: its weights by name, as they were drawn.
        smaller: weights of the same names, none of them longer in any dimension.

    Returns:
        New tensors by name, of the shapes of `larger`.
    """
    grown = {name: weight.detach().clone() for name, weight in larger.items()}
    for name, old in smaller.items():
        if old.ndim > 1:
            grown[name][: old.shape[0]] = 0
        grown[name][tuple(slice(n) for n in old.shape)] = old
    return grown
