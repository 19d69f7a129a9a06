"""Errors that are the user's to mend."""

import pytest
from torch.utils.data import DataLoader, Dataset

from dfer.errors import InputError, ItemError, one_line


def test_statuses() -> None:
    assert InputError("x").exit_status == 2
    assert ItemError("x").exit_status == 3
    assert issubclass(ItemError, ValueError)


class Broken(Dataset[int]):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, row: int) -> int:
        raise ItemError(f"clip {row}: 9 of 16 frames unreadable;\n leave it out")


def test_an_error_from_a_worker_is_one_line() -> None:
    with pytest.raises(ItemError) as caught:
        next(iter(DataLoader(Broken(), num_workers=1)))
    assert one_line(caught.value) == "clip 0: 9 of 16 frames unreadable; leave it out"


def test_an_error_without_a_message_says_its_name() -> None:
    assert one_line(KeyboardInterrupt()) == "KeyboardInterrupt"
