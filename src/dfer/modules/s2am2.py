"""S2AM2, the recurrent layer of SAFE: an LSTM that masks, scales and keeps a residual."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

LIMIT = 20.0  # of the cell state; tanh is 1 there

State = tuple[Tensor, Tensor]


class Weights(NamedTuple):
    """The parameters of one direction, biases as columns."""

    weight_ih: Tensor  # (5H, I), rows i, f, g, o, a
    bias: Tensor  # (5H, 1), the same rows
    weight_hh: Tensor  # (7H + H // 4, H), rows i, f, g, o, a, r, u, mask
    mask_bias: Tensor  # (H // 4, 1)
    mask_weight: Tensor  # (H, H // 4)
    mask_out_bias: Tensor  # (H, 1)


class S2AM2Cell(nn.Module):
    """Advance a state by one time step, as ``torch.nn.LSTMCell`` does.

    On the gates ``i, f, g, o`` of an LSTM: the candidate ``tanh(g)`` is masked by ``M = sigmoid(MLP(h))`` (eq. 2), the
    new cell state scaled by ``w_a`` (eq. 3), and ``sigmoid(W_r h) * relu(U_r h)`` added to it (eq. 4, 5).

    The paper leaves open what follows. ``w_a = 2 sigmoid(W_a [x, h] + b_a)`` starts at zero weights, so at 1, and
    learns to depend on what is seen. The MLP is Linear, ReLU, Linear with ``hidden_size // 4`` hidden units. After
    eq. 4 the cell state is clamped to +-20, where its tanh is 1: as ``f * w_a`` can come near 2, long inputs would
    overflow. (Gradients through hundreds of steps can still overflow with weights ten times those at the start, as an
    LSTM's do.) Under autocast the products alone are in the lower precision; the state stays in float32.

    Paper: SAFE, Sec. III-C, eq. 2-5.

    Shape:
        ``(B, input_size)``, and two times ``(B, hidden_size)`` or nothing -> two times ``(B, hidden_size)``.

    Raises:
        ValueError: a size that is too small; input or state of another shape.

    Example:
        >>> cell = S2AM2Cell(input_size=6, hidden_size=8)
        >>> h, c = cell(torch.zeros(2, 6))
        >>> h.shape, c.shape
        (torch.Size([2, 8]), torch.Size([2, 8]))
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        add_weights(self, "")
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        draw_weights(self)

    def forward(self, x: Tensor, state: State | None = None) -> State:
        check_input(x, ("B", self.input_size))
        weights = weights_of(self, "")
        h, c = initial_state(state, (len(x), self.hidden_size), weights)
        h, c = step(weights, input_gates(weights, x), h.t(), c.t())
        dtype = weights.bias.dtype
        return h.t().contiguous().to(dtype), c.t().contiguous().to(dtype)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


class S2AM2(nn.Module):
    """Run :class:`S2AM2Cell` over a row of tokens, as ``torch.nn.LSTM(batch_first=True)`` does.

    Gives the outputs, and the last state of each direction; the second direction runs from the last token to the
    first. Packed sequences are not taken.

    Paper: SAFE, Sec. III-C, eq. 2-5.

    Shape:
        ``(B, T, input_size)``, and two times ``(D, B, hidden_size)`` or nothing -> ``(B, T, out_features)``, and two
        times ``(D, B, hidden_size)``, with D = 2 directions or 1; ``out_features`` is ``D * hidden_size``.

    Raises:
        ValueError: a size that is too small; input or state of another shape; a packed sequence.

    Example:
        >>> layer = S2AM2(input_size=128, hidden_size=32)
        >>> output, (h_n, c_n) = layer(torch.zeros(2, 7, 128))
        >>> output.shape, h_n.shape, layer.out_features
        (torch.Size([2, 7, 64]), torch.Size([2, 2, 32]), 64)
    """

    def __init__(self, input_size: int, hidden_size: int, bidirectional: bool = True) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bidirectional = bidirectional
        self.suffixes = ("_l0", "_l0_reverse") if bidirectional else ("_l0",)
        self.out_features = len(self.suffixes) * hidden_size
        for suffix in self.suffixes:
            add_weights(self, suffix)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        draw_weights(self)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        check_input(x, ("B", "T", self.input_size))
        B, T, _ = x.shape
        directions = [weights_of(self, suffix) for suffix in self.suffixes]
        h_0, c_0 = initial_state(state, (len(directions), B, self.hidden_size), directions[0])
        tokens = x.transpose(0, 1).flatten(0, 1)  # (T * B, I)
        outputs, states = [], []
        for d, weights in enumerate(directions):
            gates = input_gates(weights, tokens).view(5 * self.hidden_size, T, B).unbind(1)  # T times (5H, B)
            h, c = h_0[d].t(), c_0[d].t()  # (H, B)
            hidden = []
            for gates_t in gates if d == 0 else reversed(gates):
                h, c = step(weights, gates_t, h, c)
                hidden.append(h)
            outputs.append(torch.stack(hidden if d == 0 else hidden[::-1]))  # (T, H, B)
            states.append(torch.stack([h, c]))  # (2, H, B)
        output = torch.cat(outputs, dim=1).permute(2, 0, 1).contiguous()  # (B, T, D * H)
        h_n, c_n = torch.stack(states, dim=1).transpose(2, 3).contiguous()  # (D, B, H)
        dtype = directions[0].bias.dtype
        return output.to(dtype), (h_n.to(dtype), c_n.to(dtype))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, bidirectional={self.bidirectional}"


# Inside, features come before the batch, (H, B): weights times states is then the faster product on CPUs (about 1.6
# times at a batch of 32), needs no transposed copy of the weights, and leaves each gate in one piece of memory.


def input_gates(weights: Weights, x: Tensor) -> Tensor:
    """Give what the inputs add to the gates: ``(N, I)`` -> ``(5H, N)``."""
    return torch.addmm(weights.bias, weights.weight_ih, x.t())


def step(weights: Weights, gates: Tensor, h: Tensor, c: Tensor) -> State:
    """Apply equations 2 to 5: gates ``(5H, B)`` of the input, state ``(H, B)`` twice -> the next state."""
    H = len(h)
    dtype = weights.weight_hh.dtype
    of_state = torch.mm(weights.weight_hh, h.to(dtype)).to(c.dtype)  # (7H + H // 4, B)
    lstm, r, u, mask = torch.split(of_state, [5 * H, H, H, H // 4])
    i_f, g, o_a = torch.split(lstm + gates, [2 * H, H, 2 * H])
    i, f = i_f.sigmoid().chunk(2)
    o, a = o_a.sigmoid().chunk(2)
    mask = (mask + weights.mask_bias).relu().to(dtype)
    mask = torch.addmm(weights.mask_out_bias, weights.mask_weight, mask).to(c.dtype).sigmoid()  # (H, B)
    c = torch.addcmul(f * c, i * g.tanh(), mask)  # eq. 2 within the sum of eq. 3
    c = torch.addcmul(r.sigmoid() * u.relu(), c, a, value=2)  # eq. 3: w_a = 2 sigmoid(...); eq. 4, 5
    c = c.clamp(-LIMIT, LIMIT)
    return o * c.tanh(), c


def add_weights(module: S2AM2Cell | S2AM2, suffix: str) -> None:
    """Register the parameters of one direction, undrawn."""
    H, inputs = module.hidden_size, module.input_size
    if inputs < 1:
        raise ValueError(f"input_size {inputs} must be at least 1")
    if H < 4:
        raise ValueError(f"hidden_size {H} leaves the mask no hidden unit (hidden_size // 4); give at least 4")
    shapes = [(5 * H, inputs), (5 * H,), (7 * H + H // 4, H), (H // 4,), (H, H // 4), (H,)]
    for name, shape in zip(Weights._fields, shapes, strict=True):
        module.register_parameter(name + suffix, nn.Parameter(torch.empty(shape)))


def draw_weights(module: S2AM2Cell | S2AM2) -> None:
    """Draw uniformly from +-1/sqrt(H), as ``torch.nn.LSTM`` does; the rows of ``w_a`` are zero."""
    H = module.hidden_size
    for name, parameter in module.named_parameters():
        nn.init.uniform_(parameter, -1 / math.sqrt(H), 1 / math.sqrt(H))
        if name.startswith(("weight", "bias")):
            nn.init.zeros_(parameter[4 * H : 5 * H])


def weights_of(module: nn.Module, suffix: str) -> Weights:
    """Collect the parameters of one direction."""
    found = [getattr(module, name + suffix) for name in Weights._fields]
    return Weights(*(value if value.ndim == 2 else value[:, None] for value in found))


def state_dtype(weights: Weights) -> torch.dtype:
    """Say in which type the state is kept: at least float32."""
    return torch.promote_types(weights.bias.dtype, torch.float32)


def initial_state(state: State | None, shape: tuple[int, ...], weights: Weights) -> State:
    """Check a state, or make one of zeros."""
    if state is None:
        zeros = weights.bias.new_zeros(shape, dtype=state_dtype(weights))
        return zeros, zeros
    for name, part in zip("hc", state, strict=True):
        if part.shape != shape:
            raise ValueError(f"initial {name} has the shape {list(part.shape)}; give {shape}")
    return state[0].to(state_dtype(weights)), state[1].to(state_dtype(weights))


def check_input(x: object, wanted: tuple[str | int, ...]) -> None:
    """Refuse what is not a tensor, has another rank or number of features, or no time step."""
    shape = f"({', '.join(map(str, wanted))})"
    if not isinstance(x, Tensor):
        raise ValueError(f"input is a {type(x).__name__}; give a tensor {shape}")
    if x.ndim != len(wanted) or x.shape[-1] != wanted[-1] or (x.ndim == 3 and x.shape[1] == 0):
        raise ValueError(f"input has the shape {list(x.shape)}; give {shape}, with one time step at least")
