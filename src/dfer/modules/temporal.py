"""Temporal heads: what to make of a row of tokens."""

from torch import Tensor, nn


class BiLSTM(nn.Module):
    """Let every token see those before and after it.

    Args:
        hidden_size: of each direction, so a token leaves with twice as many features.

    Shape:
        ``(B, N, input_size)`` -> ``(B, N, out_features)``.

    Example:
        >>> import torch
        >>> head = BiLSTM(input_size=128, hidden_size=32)
        >>> head(torch.zeros(2, 7, 128)).shape, head.out_features
        (torch.Size([2, 7, 64]), 64)
    """

    def __init__(self, input_size: int, hidden_size: int = 256, num_layers: int = 1) -> None:
        super().__init__()
        self.input_size = input_size
        self.out_features = 2 * hidden_size
        self.lstm = nn.LSTM(input_size, hidden_size, num_layers, batch_first=True, bidirectional=True)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden: Tensor = self.lstm(tokens)[0]  # (B, N, 2H)
        return hidden


def sequence(head: nn.Module, tokens: Tensor) -> Tensor:
    """Run a temporal head that gives tokens alone, or before its last state as ``torch.nn.LSTM`` does.

    Shape:
        ``(B, N, D)`` -> ``(B, N, D')``.
    """
    found = head(tokens)
    hidden: Tensor = found[0] if isinstance(found, tuple) else found
    return hidden
