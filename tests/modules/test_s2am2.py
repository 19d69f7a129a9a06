import math
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence
from torch.testing import assert_close

from dfer.modules import S2AM2, S2AM2Cell

State = tuple[Tensor, Tensor]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def randomise(module: nn.Module, scale: float = 0.7) -> None:
    """Fill every weight, the rows that start at zero too."""
    generator = torch.Generator().manual_seed(7)
    for parameter in module.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data.copy_(scale * noise)


def naive_step(module: nn.Module, suffix: str, x: Tensor, h: Tensor, c: Tensor, scaling: bool = True) -> State:
    """Equations 2-5 for the vectors of one clip, gate by gate."""
    H = len(h)
    of_input, of_state, bias = (getattr(module, name + suffix) for name in ("weight_ih", "weight_hh", "bias"))

    def gate(row: int) -> Tensor:
        rows = slice(row * H, (row + 1) * H)
        return of_input[rows] @ x + of_state[rows] @ h + bias[rows]

    i, f, g, o, a = (gate(row) for row in range(5))
    W_r, U_r, first = of_state[5 * H : 6 * H], of_state[6 * H : 7 * H], of_state[7 * H :]
    hidden = torch.relu(first @ h + getattr(module, "mask_bias" + suffix))
    mask = torch.sigmoid(getattr(module, "mask_weight" + suffix) @ hidden + getattr(module, "mask_out_bias" + suffix))
    candidate = torch.tanh(g) * mask  # eq. 2
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * candidate
    if scaling:
        c = c * 2 * torch.sigmoid(a)  # eq. 3
    c = c + torch.sigmoid(W_r @ h) * torch.relu(U_r @ h)  # eq. 4, 5
    c = torch.clamp(c, -20, 20)
    return torch.sigmoid(o) * torch.tanh(c), c


def naive(layer: S2AM2, x: Tensor, state: State | None = None, scaling: bool = True) -> tuple[Tensor, State]:
    """Clip by clip, direction by direction, step by step."""
    D = 2 if layer.bidirectional else 1
    B, T, H = x.shape[0], x.shape[1], layer.hidden_size
    if state is None:
        state = (x.new_zeros(D, B, H), x.new_zeros(D, B, H))
    outputs, last_h, last_c = [], [], []
    for d, suffix in enumerate(["_l0", "_l0_reverse"][:D]):
        for b in range(B):
            h, c, found = state[0][d, b], state[1][d, b], {}
            for t in range(T) if d == 0 else reversed(range(T)):
                h, c = naive_step(layer, suffix, x[b, t], h, c, scaling)
                found[t] = h
            outputs.append(torch.stack([found[t] for t in range(T)]))
            last_h.append(h)
            last_c.append(c)
    output = torch.stack(outputs).view(D, B, T, H).permute(1, 2, 0, 3).reshape(B, T, D * H)
    return output, (torch.stack(last_h).view(D, B, H), torch.stack(last_c).view(D, B, H))


def random_state(*shape: int) -> State:
    h, c = torch.randn(2, *shape, dtype=torch.float64)
    return h.tanh(), 3 * c


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("B", "T", "H"), [(3, 5, 8), (1, 4, 4), (2, 1, 7)])
def test_equals_the_equations(B: int, T: int, H: int, bidirectional: bool, with_state: bool) -> None:
    layer = S2AM2(3, H, bidirectional).double()
    randomise(layer)
    x = torch.randn(B, T, 3, dtype=torch.float64)
    state = random_state(1 + bidirectional, B, H) if with_state else None
    output, (h_n, c_n) = layer(x, state)
    expected, (expected_h, expected_c) = naive(layer, x, state)
    assert_close(output, expected, rtol=1e-9, atol=1e-12)
    assert_close(h_n, expected_h, rtol=1e-9, atol=1e-12)
    assert_close(c_n, expected_c, rtol=1e-9, atol=1e-12)
    assert output.shape == (B, T, layer.out_features)
    assert layer.out_features == (1 + bidirectional) * H


@pytest.mark.parametrize("with_state", [False, True])
def test_cell_equals_the_equations(with_state: bool) -> None:
    cell = S2AM2Cell(3, 8).double()
    randomise(cell)
    x = torch.randn(5, 3, dtype=torch.float64)
    h, c = random_state(5, 8) if with_state else torch.zeros(2, 5, 8, dtype=torch.float64)
    found = cell(x, (h, c) if with_state else None)
    expected = [naive_step(cell, "", x[b], h[b], c[b]) for b in range(5)]
    assert_close(found[0], torch.stack([row[0] for row in expected]), rtol=1e-9, atol=1e-12)
    assert_close(found[1], torch.stack([row[1] for row in expected]), rtol=1e-9, atol=1e-12)


def test_gradients_equal_those_of_the_equations() -> None:
    layer = S2AM2(3, 8).double()
    randomise(layer)
    x, (h, c) = torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True), random_state(2, 2, 8)
    wanted = [x, h.requires_grad_(), c.requires_grad_(), *layer.parameters()]
    gradients = []
    for run in (layer.forward, lambda *given: naive(layer, *given)):
        output, (h_n, c_n) = run(x, (h, c))
        score = (output * torch.arange(16.0)).sum() + (h_n**2).sum() + (c_n**3).sum()
        gradients.append(torch.autograd.grad(score, wanted))
    for found, expected in zip(*gradients):
        assert_close(found, expected, rtol=1e-9, atol=1e-10)


def test_gradcheck() -> None:
    cell = S2AM2Cell(2, 4).double()
    layer = S2AM2(2, 4).double()
    randomise(cell)
    randomise(layer)

    def run(x: Tensor, h: Tensor, c: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        output, (h_n, c_n) = layer(x, (h, c))
        return output, h_n, c_n

    x, (h, c) = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True), random_state(2, 2, 4)
    h, c = h.requires_grad_(), c.requires_grad_()
    assert torch.autograd.gradcheck(run, (x, h, c, *layer.parameters()))
    assert torch.autograd.gradcheck(lambda x, h, c, *_: cell(x, (h, c)), (x[:, 0], h[0], c[0], *cell.parameters()))


def test_names_shapes_and_start() -> None:
    H, Q = 10, 2
    shapes = {
        "weight_ih": (5 * H, 6),
        "bias": (5 * H,),
        "weight_hh": (7 * H + Q, H),
        "mask_bias": (Q,),
        "mask_weight": (H, Q),
        "mask_out_bias": (H,),
    }
    for module, suffixes in (
        (S2AM2(6, H), ["_l0", "_l0_reverse"]),
        (S2AM2(6, H, bidirectional=False), ["_l0"]),
        (S2AM2Cell(6, H), [""]),
    ):
        expected = {name + suffix: shape for suffix in suffixes for name, shape in shapes.items()}
        found = module.state_dict()
        assert {name: tuple(value.shape) for name, value in found.items()} == expected
        for name, value in found.items():
            scaling = torch.zeros(len(value), dtype=torch.bool)
            if name.startswith(("weight", "bias")):
                scaling[4 * H : 5 * H] = True
            assert (value[scaling] == 0).all()
            assert (value[~scaling] != 0).all()
            assert value.abs().max() <= 1 / math.sqrt(H)
            assert value.numel() < 20 or value.abs().max() > 0.8 / math.sqrt(H)


def test_cell_and_layer_share_their_names() -> None:
    layer, cell = S2AM2(3, 8, bidirectional=False), S2AM2Cell(3, 8)
    layer.load_state_dict({name + "_l0": value for name, value in cell.state_dict().items()})
    x = torch.randn(2, 5, 3)
    state = None
    for t in range(5):
        state = cell(x[:, t], state)
    assert state is not None
    _, (h_n, c_n) = layer(x)
    assert_close((h_n[0], c_n[0]), state)


def test_scaling_weight_is_one_at_the_start() -> None:
    layer = S2AM2(3, 8).double()
    x = 5 * torch.randn(2, 6, 3, dtype=torch.float64)
    assert_close(layer(x)[0], naive(layer, x, scaling=False)[0], rtol=1e-9, atol=1e-12)
    randomise(layer)
    assert not torch.allclose(layer(x)[0], naive(layer, x, scaling=False)[0], rtol=0.1)


def test_first_step_sees_no_past() -> None:
    """With a zero state only the input and the biases speak, and the residual is zero."""
    layer = S2AM2(3, 8, bidirectional=False).double()
    randomise(layer)
    x = torch.randn(4, 1, 3, dtype=torch.float64)
    before = layer(x)[0]
    layer.weight_hh_l0.data.normal_()
    assert_close(layer(x)[0], before, rtol=0, atol=0)
    assert_close(layer(x, tuple(torch.zeros(2, 1, 4, 8, dtype=torch.float64)))[0], before, rtol=0, atol=0)


def test_mask_lies_between_zero_and_one() -> None:
    """With i = 1, f = 0, tanh(g) = 1, w_a = 1 and no residual the cell state is the mask."""
    H = 8
    cell = S2AM2Cell(3, H).double()
    cell.weight_ih.data.zero_()
    cell.weight_hh.data[: 7 * H] = 0
    for row, value in enumerate([50.0, -50.0, 50.0, 0.0, 0.0]):
        cell.bias.data[row * H : (row + 1) * H] = value
    for parameter in (cell.mask_weight, cell.mask_bias, cell.mask_out_bias):
        parameter.data = torch.randn(parameter.shape, dtype=torch.float64)
    h, c = random_state(64, H)
    mask = cell(torch.randn(64, 3, dtype=torch.float64), (h, c))[1]
    hidden = torch.relu(h @ cell.weight_hh[7 * H :].T + cell.mask_bias)
    assert_close(mask, torch.sigmoid(hidden @ cell.mask_weight.T + cell.mask_out_bias), rtol=1e-9, atol=1e-9)
    assert ((mask > 0) & (mask < 1)).all()
    assert mask.std(dim=0).min() > 0


def large(size: float, scale: float) -> tuple[S2AM2, Tensor]:
    layer = S2AM2(6, 16)
    for parameter in layer.parameters():
        parameter.data.mul_(scale)
    return layer, size * torch.randn(2, 512, 6)


@pytest.mark.parametrize("scale", [1.0, 3.0, 30.0, 1e4])
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_output_is_finite_after_512_steps(size: float, scale: float) -> None:
    layer, x = large(size, scale)
    output, (h_n, c_n) = layer(x)
    assert output.isfinite().all()
    assert max(output.abs().max(), h_n.abs().max()) <= 1
    assert c_n.abs().max() <= 20


@pytest.mark.parametrize("scale", [1.0, 3.0])  # at 30 they overflow as those of nn.LSTM do: chaos, not the cell's sums
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_gradient_is_finite_after_512_steps(size: float, scale: float) -> None:
    layer, x = large(size, scale)
    output, (h_n, c_n) = layer(x.requires_grad_())
    (output.sum() + h_n.sum() + c_n.sum()).backward()
    for value in (x, *layer.parameters()):
        assert value.grad is not None
        assert value.grad.isfinite().all()


def test_cell_state_is_clamped() -> None:
    """With f = 1 and w_a = 2 the state doubles at each step, 2**512 without the clamp."""
    H = 4
    layer = S2AM2(2, H, bidirectional=False)
    layer.bias_l0.data[H : 2 * H] = 50
    layer.bias_l0.data[4 * H :] = 50
    x = torch.randn(3, 512, 2, requires_grad=True)
    output, (_, c_n) = layer(x)
    (output.sum() + c_n.sum()).backward()
    assert (c_n.abs() == 20).any()
    assert c_n.abs().max() == 20
    assert output.isfinite().all()
    for value in (x, *layer.parameters()):
        assert value.grad is not None
        assert value.grad.isfinite().all()


def test_state_carries_over() -> None:
    layer = S2AM2(3, 8, bidirectional=False).double()
    randomise(layer)
    x = torch.randn(2, 9, 3, dtype=torch.float64)
    whole, (h_n, c_n) = layer(x)
    first, state = layer(x[:, :4])
    second, last = layer(x[:, 4:], state)
    assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-9, atol=1e-12)
    assert_close(last, (h_n, c_n), rtol=1e-9, atol=1e-12)


def test_clips_of_a_batch_do_not_meet() -> None:
    layer = S2AM2(3, 8)
    x = torch.randn(4, 6, 3)
    assert_close(layer(x[2:3])[0], layer(x)[0][2:3])


def test_bfloat16_autocast_keeps_the_state_in_float32() -> None:
    layer = S2AM2(16, 32)
    x = torch.randn(3, 64, 16)
    expected = layer(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        output, (h_n, c_n) = layer(x)
        cell_state = S2AM2Cell(16, 32)(x[:, 0])
    for value in (output, h_n, c_n, *cell_state):
        assert value.dtype == torch.float32
        assert value.isfinite().all()
        assert not torch.equal(value, value.bfloat16().float())
    assert not torch.equal(output, expected)
    assert_close(output, expected, rtol=0, atol=0.02)
    output.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in layer.parameters())


def test_bfloat16_autocast_rounds_the_products_alone() -> None:
    H = 32
    cell = S2AM2Cell(16, H)
    randomise(cell)
    x, h, c = torch.randn(5, 16), torch.randn(5, H).tanh(), torch.randn(5, H)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = cell(x, (h, c))
        of_input = torch.addmm(cell.bias[:, None], cell.weight_ih, x.t())
        of_state = torch.mm(cell.weight_hh, h.t())
        hidden = torch.relu(of_state[7 * H :].float() + cell.mask_bias[:, None])
        mask = torch.addmm(cell.mask_out_bias[:, None], cell.mask_weight, hidden)
    assert {of_input.dtype, of_state.dtype, mask.dtype} == {torch.bfloat16}
    of_state, mask = of_state.float(), mask.float().sigmoid()
    i, f, g, o, a = (of_input.float() + of_state[: 5 * H]).chunk(5)
    r, u = of_state[5 * H : 7 * H].chunk(2)
    c = (f.sigmoid() * c.t() + i.sigmoid() * g.tanh() * mask) * 2 * a.sigmoid() + r.sigmoid() * u.relu()
    assert_close(found, ((o.sigmoid() * c.tanh()).t(), c.t()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_gives_the_type_of_its_weights(dtype: torch.dtype) -> None:
    output, (h_n, c_n) = S2AM2(3, 8).to(dtype)(torch.randn(2, 5, 3, dtype=dtype))
    assert {output.dtype, h_n.dtype, c_n.dtype} == {dtype}


@pytest.mark.parametrize("bidirectional", [False, True])
def test_takes_the_place_of_an_lstm(bidirectional: bool) -> None:
    ours = S2AM2(6, 8, bidirectional)
    lstm = nn.LSTM(6, 8, batch_first=True, bidirectional=bidirectional)
    x = torch.randn(3, 7, 6)
    found, expected = ours(x, ours(x)[1]), lstm(x, lstm(x)[1])
    assert found[0].shape == expected[0].shape
    assert [part.shape for part in found[1]] == [part.shape for part in expected[1]]
    assert [part.shape for part in S2AM2Cell(6, 8)(x[:, 0])] == [part.shape for part in nn.LSTMCell(6, 8)(x[:, 0])]


@pytest.mark.slow  # the fast tests of dfer.export write and read a small SAFE, which has it
def test_exports_to_onnx(tmp_path: Path) -> None:
    layer = S2AM2(6, 8).eval()
    path = tmp_path / "s2am2.onnx"
    x, h, c = torch.randn(2, 7, 6), torch.randn(2, 2, 8).tanh(), torch.randn(2, 2, 8)
    batch = torch.export.Dim.DYNAMIC
    torch.onnx.export(
        layer,
        (x, (h, c)),
        path,
        dynamo=True,
        verbose=False,
        input_names=["x", "h", "c"],
        output_names=["output", "h_n", "c_n"],
        dynamic_shapes=({0: batch}, ({1: batch}, {1: batch})),
    )
    session = onnxruntime.InferenceSession(path)
    for B in (1, 2, 5):
        x, h, c = torch.randn(B, 7, 6), torch.randn(2, B, 8).tanh(), torch.randn(2, B, 8)
        found = session.run(None, {"x": x.numpy(), "h": h.numpy(), "c": c.numpy()})
        output, state = layer(x, (h, c))
        for given, expected in zip(found, (output, *state), strict=True):
            assert_close(torch.from_numpy(given), expected.detach(), rtol=0, atol=1e-5)


def test_refuses_bad_sizes() -> None:
    with pytest.raises(ValueError, match=r"hidden_size 3 .* at least 4"):
        S2AM2(6, 3)
    with pytest.raises(ValueError, match=r"hidden_size 0 .* at least 4"):
        S2AM2Cell(6, 0)
    with pytest.raises(ValueError, match=r"input_size 0 .*at least 1"):
        S2AM2(0, 8)


@pytest.mark.parametrize("shape", [(7, 6), (6,), (2, 7, 5), (2, 0, 6), (1, 2, 7, 6)])
def test_layer_refuses_other_inputs(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"{list(shape)}".replace("[", r"\[").replace("]", r"\]")):
        S2AM2(6, 8)(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(6,), (2, 5), (2, 7, 6)])
def test_cell_refuses_other_inputs(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"{list(shape)}".replace("[", r"\[").replace("]", r"\]")):
        S2AM2Cell(6, 8)(torch.zeros(shape))


def test_refuses_packed_sequences() -> None:
    packed = pack_sequence([torch.zeros(7, 6), torch.zeros(3, 6)])
    with pytest.raises(ValueError, match=r"PackedSequence; .* \(B, T, 6\)"):
        S2AM2(6, 8)(packed)


@pytest.mark.parametrize("shape", [(1, 3, 8), (2, 1, 8), (2, 3, 7), (3, 8)])
def test_refuses_another_state(shape: tuple[int, ...]) -> None:
    right, wrong = torch.zeros(2, 3, 8), torch.zeros(shape)
    for state in ((right, wrong), (wrong, right)):
        with pytest.raises(ValueError, match=rf"{list(shape)}.*\(2, 3, 8\)".replace("[", r"\[").replace("]", r"\]", 1)):
            S2AM2(6, 8)(torch.zeros(3, 7, 6), state)
    with pytest.raises(ValueError, match=r"\[4, 8\].*\(3, 8\)"):
        S2AM2Cell(6, 8)(torch.zeros(3, 6), (torch.zeros(4, 8), torch.zeros(3, 8)))
