"""Fast depthwise convolutions against torch's."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from dfer.backbones import x3d_s
from dfer.backbones.depthwise import Depthwise3D, DepthwiseInTime

KINDS: dict[str, Callable[[], nn.Conv3d]] = {
    "stride 1": lambda: Depthwise3D(6),
    "stride 2": lambda: Depthwise3D(6, stride=2),
    "in time": lambda: DepthwiseInTime(6),
}


def results(forward: Callable[[Tensor], Tensor], x: Tensor, weight: nn.Parameter) -> list[Tensor]:
    """Output, and the gradients of a loss that weighs every element differently."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    output = forward(x)
    upstream = torch.linspace(-1, 2, output.numel(), dtype=output.dtype).view_as(output)
    return [output.detach(), *torch.autograd.grad(output, [x, weight], upstream)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (2, 5), (7, 4), (8, 8)])
@pytest.mark.parametrize("frames", [1, 2, 4, 5])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_equals_torchs(kind: str, shape: tuple[int, int], frames: int, layout: torch.memory_format) -> None:
    convolution = KINDS[kind]().double()
    x = torch.randn(3, 6, frames, *shape, dtype=torch.float64).contiguous(memory_format=layout)
    found = results(convolution, x, convolution.weight)
    expected = results(lambda clip: nn.Conv3d.forward(convolution, clip), x, convolution.weight)
    assert_close(found, expected)
    with torch.no_grad():
        assert_close(convolution(x), expected[0])


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_gradient_that_is_asked_for(kind: str) -> None:
    convolution = KINDS[kind]().double()
    x = torch.randn(2, 6, 4, 4, 4, dtype=torch.float64)
    expected = results(lambda clip: nn.Conv3d.forward(convolution, clip), x, convolution.weight)
    output = convolution(x)
    upstream = torch.linspace(-1, 2, output.numel(), dtype=output.dtype).view_as(output)
    assert_close(torch.autograd.grad(output, convolution.weight, upstream)[0], expected[2])
    convolution.weight.requires_grad_(False)
    x.requires_grad_()
    assert_close(torch.autograd.grad(convolution(x), x, upstream)[0], expected[1])


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_autocast(kind: str) -> None:
    torch.manual_seed(0)
    convolution = KINDS[kind]()
    x = torch.randn(2, 6, 4, 6, 6)
    expected = results(lambda clip: nn.Conv3d.forward(convolution, clip), x, convolution.weight)

    def cast(clip: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return convolution(clip)  # type: ignore[no-any-return]

    found = results(cast, x, convolution.weight)
    assert [part.dtype for part in found] == [torch.bfloat16, torch.float32, torch.float32]
    for one, other in zip(found, expected, strict=True):
        assert (one.float() - other).norm() < 0.02 * other.norm()


def test_a_whole_networks_gradients_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = x3d_s(width=0.25).double()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 2)  # or no gradient would reach the filters
    clip = torch.randn(2, 3, 4, 40, 40, dtype=torch.float64)

    def gradients() -> list[Tensor]:
        return list(torch.autograd.grad(backbone(clip).square().sum(), list(backbone.parameters())))

    found = gradients()
    for part in (Depthwise3D, DepthwiseInTime):
        monkeypatch.setattr(part, "forward", nn.Conv3d.forward)
    for one, other in zip(found, gradients(), strict=True):
        assert_close(one, other, rtol=0, atol=1e-7 * float(other.norm()))


def test_a_second_derivative_is_refused_not_wrong() -> None:
    convolution = Depthwise3D(2)
    x = torch.randn(1, 2, 2, 3, 3, requires_grad=True)
    (first,) = torch.autograd.grad(convolution(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
