"""The dual-stream network against one LSTM after another, by the paper's Algorithm 1."""

import re

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from dfer.modules import BiLSTM, DualStream
from dfer.modules.dual_stream import stream


def lstm_pass(model: BiLSTM, row: list[Tensor], ending: str) -> list[Tensor]:
    """One direction of an LSTM over one row of tokens, gate by gate."""
    w_ih, w_hh, b_ih, b_hh = (
        model.lstm.get_parameter(f"{name}_l0{ending}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h = c = torch.zeros(w_hh.shape[1], dtype=w_hh.dtype)
    seen = []
    for x in row:
        i, f, g, o = (w_ih @ x + b_ih + w_hh @ h + b_hh).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        seen.append(h)
    return seen


def mean_of(model: BiLSTM, row: list[Tensor]) -> Tensor:
    """What a sequence model makes of one row, averaged over the row."""
    there, back = lstm_pass(model, row, ""), lstm_pass(model, row[::-1], "_reverse")[::-1]
    return sum(torch.cat(pair) for pair in zip(there, back, strict=True)) / len(row)  # type: ignore[return-value]


def slow(network: DualStream, tokens: Tensor, clips: int) -> Tensor:
    n2 = network.clip_frames
    found = []
    for R in tokens:
        if network.hierarchical:
            R_me = [[R[a * n2 + b] for b in range(n2)] for a in range(clips)]
            R_em = [[R[a * n2 + b] for a in range(clips)] for b in range(n2)]
            f_me = mean_of(network.emotion, [mean_of(network.movement, row) for row in R_me])
            f_em = mean_of(network.movement, [mean_of(network.emotion, row) for row in R_em])
            parts = [f_me, f_em] if network.dual else [f_me]
        else:
            parts = [mean_of(network.movement, list(R)), mean_of(network.emotion, list(R))]
        if network.fusion == "sum":
            found.append(sum(parts))
        else:
            found.append(torch.cat(parts))
    return torch.stack(found)  # type: ignore[arg-type]


ROWS = [
    {},
    {"fusion": "sum"},
    {"dual": False},
    {"hierarchical": False},
    {"hierarchical": False, "fusion": "sum"},
]


@pytest.mark.parametrize("settings", ROWS)
@pytest.mark.parametrize(("clips", "clip_frames"), [(3, 2), (2, 4), (1, 3), (3, 1)])
def test_equals_algorithm_1(settings: dict[str, object], clips: int, clip_frames: int) -> None:
    network = DualStream(6, clips, clip_frames, **settings).double()  # type: ignore[arg-type]
    tokens = torch.randn(2, clips * clip_frames, 6, dtype=torch.float64)
    assert_close(network(tokens), slow(network, tokens, clips), rtol=1e-9, atol=1e-12)
    assert network(tokens).shape == (2, network.out_features)


@pytest.mark.parametrize("settings", ROWS)
def test_one_clip_alone_goes_through_the_same_network(settings: dict[str, object]) -> None:
    network = DualStream(6, 3, 2, **settings).double()  # type: ignore[arg-type]
    clip = torch.randn(4, 2, 6, dtype=torch.float64)
    alone = DualStream(6, 1, 2, **settings).double()  # type: ignore[arg-type]
    alone.load_state_dict(network.state_dict())
    assert_close(network(clip, clips=1), slow(network, clip, 1), rtol=1e-9, atol=1e-12)
    assert torch.equal(network(clip, clips=1), alone(clip))


class Watch(nn.Module):
    """Keep what comes in; give it on as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, tokens: Tensor) -> Tensor:
        self.seen.append(tokens)
        return tokens


def test_the_rearrangements_are_the_papers() -> None:
    n1, n2, B = 4, 3, 2
    network = DualStream(2, n1, n2)
    network.movement, network.emotion = Watch(), Watch()  # type: ignore[assignment]
    tokens = torch.arange(B * n1 * n2 * 2.0).view(B, n1 * n2, 2)
    network(tokens)
    clips, steps = network.movement.seen  # type: ignore[misc]
    over_clips, groups = network.emotion.seen  # type: ignore[misc]
    assert clips.shape == (B * n1, n2, 2)
    assert groups.shape == (B * n2, n1, 2)
    for s in range(B):
        for a in range(n1):
            for b in range(n2):
                assert torch.equal(clips[s * n1 + a, b], tokens[s, a * n2 + b])  # consecutive frames
                assert torch.equal(groups[s * n2 + b, a], tokens[s, a * n2 + b])  # n2 frames apart
            assert_close(over_clips[s, a], tokens[s, a * n2 : (a + 1) * n2].mean(0))
        for b in range(n2):
            assert_close(steps[s, b], tokens[s, b::n2].mean(0))


def test_a_stream_runs_within_then_over() -> None:
    groups = torch.randn(2, 3, 4, 5)
    assert_close(stream(groups, nn.Identity(), nn.Identity()), groups.mean((1, 2)))
    last = stream(groups, nn.Identity(), Last())
    assert_close(last, groups[:, -1].mean(1))


class Last(nn.Module):
    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, -1:].expand_as(tokens)


def test_both_streams_share_their_models_and_train_them() -> None:
    network = DualStream(6, 2, 3).double()
    assert sum(value.numel() for value in network.parameters()) == 2 * sum(
        value.numel() for value in BiLSTM(6, 3).parameters()
    )
    tokens = torch.randn(2, 6, 6, dtype=torch.float64)
    gradients = []
    for part in (slice(0, 6), slice(6, 12)):  # f_me, f_em
        network.zero_grad()
        network(tokens)[:, part].square().sum().backward()
        gradients.append([value.grad.clone() for value in network.parameters() if value.grad is not None])
        assert len(gradients[-1]) == 16
        assert all(gradient.any() for gradient in gradients[-1])
    network.zero_grad()
    network(tokens).square().sum().backward()
    for value, me, em in zip(network.parameters(), *gradients, strict=True):
        assert_close(value.grad, me + em)


@pytest.mark.parametrize(
    ("settings", "out_features"),
    [({}, 1024), ({"fusion": "sum"}, 512), ({"dual": False}, 512), ({"hierarchical": False}, 1024)],
)
def test_rows_of_table_3(settings: dict[str, object], out_features: int) -> None:
    network = DualStream(**settings)  # type: ignore[arg-type]
    assert network.out_features == out_features
    C = 512
    of_direction = 4 * (C // 2) * (C + C // 2 + 2)
    assert sum(value.numel() for value in network.parameters()) == 4 * of_direction == 3_153_920
    assert network(torch.zeros(1, 16, 512)).shape == (1, out_features)


def test_clips_of_a_batch_do_not_meet() -> None:
    network = DualStream(6, 2, 3)
    tokens = torch.randn(3, 6, 6)
    assert_close(network(tokens[1:2]), network(tokens)[1:2])
    turned = tokens.transpose(1, 2).contiguous().transpose(1, 2)  # laid out otherwise in memory
    assert_close(network(turned), network(tokens))


def test_large_tokens_and_bfloat16_stay_finite() -> None:
    network = DualStream(16, 4, 4)
    tokens = torch.randn(2, 16, 16)
    expected = network(tokens)
    with torch.autocast("cpu", torch.bfloat16):
        found = network(tokens)
        assert network(1e4 * tokens).isfinite().all()
        found.sum().backward()
    assert_close(found.float(), expected, rtol=0, atol=0.02)
    assert all(value.grad is not None and value.grad.isfinite().all() for value in network.parameters())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"features": 7}, "features 7 must be even"),
        ({"features": 0}, "features 0 must be even and at least 2"),
        ({"clips": 0}, "clips 0 of clip_frames 4"),
        ({"clip_frames": -1}, "clips 4 of clip_frames -1"),
        ({"clips": 2.0}, "clips 2.0"),
        ({"dual": False, "hierarchical": False}, "dual False with hierarchical False"),
        ({"fusion": "mean"}, "fusion 'mean'.* concat or sum"),
    ],
)
def test_bad_arguments_are_refused_with_the_value(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DualStream(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(2, 15, 6), (2, 16, 5), (16, 6), (2, 4, 4, 6)])
def test_other_tokens_are_refused_with_both_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{list(shape)}; 4 clips of 4 frames are (B, 16, 6)")):
        DualStream(6)(torch.zeros(shape))
    with pytest.raises(ValueError, match=re.escape("1 clips of 4 frames are (B, 4, 6)")):
        DualStream(6)(torch.zeros(2, 16, 6), clips=1)
