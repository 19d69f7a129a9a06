import math

import pytest
import torch
from scipy.fft import idctn
from torch.testing import assert_close

from dfer.modules import dct_filters


def naive(size: int) -> torch.Tensor:
    """Equations 2 and 3, pixel by pixel."""

    def alpha(u: int) -> float:
        return math.sqrt(1 / size) if u == 0 else math.sqrt(2 / size)

    def cosine(i: int, u: int) -> float:
        return math.cos(math.pi * (2 * i + 1) * u / (2 * size))

    images = [
        [[alpha(u) * alpha(v) * cosine(i, u) * cosine(j, v) for j in range(size)] for i in range(size)]
        for u in range(size)
        for v in range(size)
    ]
    return torch.tensor(images, dtype=torch.float64)


@pytest.mark.parametrize("size", [1, 2, 5, 7, 8])
def test_equal_the_equations(size: int) -> None:
    filters = dct_filters(size)
    assert filters.shape == (size * size, size, size)
    assert filters.dtype == torch.float32
    assert_close(filters.double(), naive(size), rtol=0, atol=6e-8)  # half a step of float32 below 1


@pytest.mark.parametrize("size", [1, 2, 7])
def test_equal_scipy(size: int) -> None:
    """Its inverse transform of a single coefficient is that coefficient's image."""
    for k, image in enumerate(dct_filters(size)):
        coefficients = torch.zeros(size, size, dtype=torch.float64)
        coefficients.view(-1)[k] = 1
        assert_close(
            image.double(), torch.from_numpy(idctn(coefficients.numpy(), type=2, norm="ortho")), atol=6e-8, rtol=0
        )


@pytest.mark.parametrize("size", [1, 3, 7])
def test_are_orthonormal(size: int) -> None:
    rows = dct_filters(size).double().flatten(1)
    assert_close(rows @ rows.T, torch.eye(size * size, dtype=torch.float64), rtol=0, atol=3e-7)


def test_default_size() -> None:
    assert torch.equal(dct_filters(), dct_filters(7))
    assert_close(dct_filters()[0], torch.full((7, 7), 1 / 7))


@pytest.mark.parametrize("size", [0, -7])
def test_refuses_no_size(size: int) -> None:
    with pytest.raises(ValueError, match=rf"size {size} must be at least 1"):
        dct_filters(size)
