"""The images of the discrete cosine transform, as filters."""

import math

import torch
from torch import Tensor


def dct_filters(size: int = 7) -> Tensor:
    """Make the orthonormal DCT-II images of ``size x size``, the lowest frequency first.

    The filter at ``u * size + v`` is ``alpha(u) alpha(v) cos(pi (2i + 1) u / 2 size) cos(pi (2j + 1) v / 2 size)``. The
    angles are reduced to one turn as integers, and the sums made in float64: the filters are float32's best.

    Paper: HDF, Sec. 3.1, eq. 2-3 with H = W = ``size``.

    Shape:
        -> ``(size * size, size, size)``.

    Raises:
        ValueError: a size below 1.

    Example:
        >>> filters = dct_filters(2)
        >>> filters.shape, filters[0]
        (torch.Size([4, 2, 2]), tensor([[0.5000, 0.5000], [0.5000, 0.5000]]))
    """
    if size < 1:
        raise ValueError(f"size {size} must be at least 1")
    place = torch.arange(size)
    angle = (2 * place[None, :] + 1) * place[:, None] % (4 * size)  # (u, i), in units of pi / (2 size)
    waves = torch.cos(angle.double() * (math.pi / (2 * size))) * math.sqrt(2 / size)
    waves[0] = math.sqrt(1 / size)
    return torch.einsum("ui,vj->uvij", waves, waves).flatten(0, 1).float()  # (u v, i, j)
