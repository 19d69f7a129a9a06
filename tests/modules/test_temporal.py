import torch
from torch import nn
from torch.testing import assert_close

from dfer.modules import BiLSTM
from dfer.modules.temporal import sequence


def test_equals_two_lstms() -> None:
    head = BiLSTM(input_size=5, hidden_size=3)
    forward, backward = nn.LSTM(5, 3, batch_first=True), nn.LSTM(5, 3, batch_first=True)
    for name, value in head.lstm.named_parameters():
        (backward if name.endswith("_reverse") else forward).get_parameter(name.removesuffix("_reverse")).data = value
    tokens = torch.randn(2, 7, 5)
    expected = torch.cat([forward(tokens)[0], backward(tokens.flip(1))[0].flip(1)], dim=2)
    assert_close(head(tokens), expected)
    assert head.out_features == 6


def test_layers_follow_one_another() -> None:
    names = [name for name, _ in BiLSTM(input_size=5, hidden_size=3, num_layers=2).named_parameters()]
    assert [name for name in names if "weight_ih" in name] == [
        f"lstm.weight_ih_l{layer}{direction}" for layer in (0, 1) for direction in ("", "_reverse")
    ]


def test_order_matters() -> None:
    head = BiLSTM(input_size=5, hidden_size=3, num_layers=2)
    tokens = torch.randn(1, 7, 5)
    assert not torch.allclose(head(tokens).mean(dim=1), head(tokens[:, torch.randperm(7).flip(0)]).mean(dim=1))


def test_a_head_may_give_its_state_as_well() -> None:
    tokens = torch.randn(2, 5, 6)
    lstm = nn.LSTM(6, 4, batch_first=True)
    assert torch.equal(sequence(lstm, tokens), lstm(tokens)[0])
    assert torch.equal(sequence(nn.Identity(), tokens), tokens)
