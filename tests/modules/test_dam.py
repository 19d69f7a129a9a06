import pytest
import torch

from dfer.modules import DAM


@pytest.mark.parametrize("attention", ["self", "conv"])
@pytest.mark.parametrize(("frequency", "temporal"), [(True, True), (True, False), (False, True)])
def test_keeps_the_shape(frequency: bool, temporal: bool, attention: str) -> None:
    x = torch.randn(2, 24, 16, 5, 4)
    y = DAM(24, 16, frequency, temporal, attention)(x)
    assert y.shape == x.shape
    assert ((y / x > 1) & (y / x < 2)).all()


def test_without_branches_is_the_identity() -> None:
    x = torch.randn(2, 24, 16, 5, 4)
    assert DAM(24, 16, frequency=False, temporal=False)(x) is x


def test_refuses_fewer_channels_than_frames() -> None:
    with pytest.raises(ValueError, match=r"channels 8 for 16 frames"):
        DAM(8, 16)
