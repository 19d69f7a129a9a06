import torch
from torch.testing import assert_close

from dfer.backbones import Pixels

STATISTICS = ((0.4, 0.3, 0.2), (0.2, 0.1, 0.5))


def test_equals_the_formula() -> None:
    clip = torch.randint(0, 256, (2, 3, 4, 5, 6), dtype=torch.uint8)
    pixels = Pixels(*STATISTICS)(clip)
    for channel, (mean, std) in enumerate(zip(*STATISTICS)):
        assert_close(pixels[:, channel], (clip[:, channel].float() / 255 - mean) / std)


def test_float_is_taken_as_unit_range() -> None:
    clip = torch.randint(0, 256, (1, 3, 2, 3, 3), dtype=torch.uint8)
    assert_close(Pixels(*STATISTICS)(clip), Pixels(*STATISTICS)(clip.float() / 255))


def test_is_no_part_of_the_state_dict() -> None:
    assert not Pixels(*STATISTICS).state_dict()
