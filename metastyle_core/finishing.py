"""What is done to pixels after drawing: colours, then the photograph is mixed in."""

import torch
from torch import Tensor

from .colour import Colouring, PaletteMap, recolour

AS_DRAWN = Colouring(amount=0.0)
IN_STYLE = Colouring()


def finish(
    photographs: Tensor,
    drawn: Tensor,
    *,
    strength: float = 1.0,
    colouring: Colouring = AS_DRAWN,
    alpha: Tensor | None = None,
    mask: Tensor | None = None,
    palette_map: PaletteMap | None = None,
) -> Tensor:
    """Give a drawing its colours, then mix it into the photographs.

    Args:
        photographs: (B, 3, H, W), [0, 1].
        drawn: what was made of them, of the same shape.
        strength: 0 gives the photographs exactly, 1 the drawing.
        colouring: whose colours the drawing gets; `style` leaves them until `Colouring.on` tells
            whose palette that is.
        alpha: (B, 1, H, W), [0, 1], of photographs with transparency.
        mask: (1 or B, 1, H, W), [0, 1]: strength is multiplied by it, pixel by pixel.
        palette_map: how colours move where `match` is asked for, when these are a part of a
            picture; None finds out from `drawn`.
    """
    coloured = recolour(drawn, photographs, colouring, alpha, palette_map)
    if mask is not None:
        return torch.lerp(photographs, coloured, strength * mask.to(coloured))
    return coloured if strength == 1 else torch.lerp(photographs, coloured, strength)
