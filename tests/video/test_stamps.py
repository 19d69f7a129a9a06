import numpy as np
import pytest

from dfer.video.stamps import MOST_PENDING, Stamps


def placed(announced: list[int | None], given: list[int | None], step: float = 1.0) -> tuple[list[int], list[float]]:
    stamps = Stamps(1.0, step)
    for stamp in announced:
        stamps.expect(stamp)
    pairs = [stamps.place(stamp) for stamp in given]
    return [index for index, _ in pairs], [seconds for _, seconds in pairs]


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ([0, 1, 2], [0, 1, 2]),
        ([-7, -5, 4], [0, 2, 11]),
        ([None, None, None], [0, 1, 2]),
        ([5, 5, 6], [0, 1, 1.5]),
        ([0, 2, 1.5, 3], [0, 2, 2.5, 3]),
        ([0, None, 2, 3], [0, 1, 2, 3]),
        ([None, None, 40, 42], [0, 1, 2, 4]),
        ([100, 101, 0, 1, 2], [0, 1, 2, 3, 4]),
    ],
)
def test_seconds_grow_whatever_the_stamps(given: list, seconds: list[float]) -> None:
    indices, found = placed([], given)
    assert found == seconds
    assert indices == list(range(len(given)))


def test_indices_count_what_was_lost() -> None:
    stamps = Stamps(0.1, 0.1)
    stamps.trusted = True
    for stamp in (0, 3, 1, 2, 4, 5, 5, 6, 9):
        stamps.expect(stamp)
    assert [stamps.place(stamp)[0] for stamp in (0, 3, 5, 6)] == [0, 3, 5, 6]
    assert str(stamps.lost) == "3 frames between 0.1 s and 0.4 s"
    stamps.close()
    assert stamps.lost.count == 4


def test_late_frames_are_not_lost() -> None:
    given = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
    indices, seconds = placed(given, given)
    assert indices == list(range(10))
    assert (np.diff(seconds) > 0).all()


def test_late_frames_are_not_lost_either_where_some_are() -> None:
    given = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
    stamps = Stamps(1.0, 1.0)
    stamps.trusted = True
    for stamp in given:
        stamps.expect(stamp)
    indices, seconds = zip(*(stamps.place(stamp) for stamp in given))
    assert indices == (0, 3, 4, 5, 6, 7, 8, 9, 10, 11)
    assert (np.diff(seconds) > 0).all()
    assert stamps.lost.count == 0


def test_what_a_decoder_never_gives_back_is_forgotten() -> None:
    stamps = Stamps(1.0, 1.0)
    stamps.trusted = True
    for stamp in range(3 * MOST_PENDING):
        stamps.expect(stamp)
    assert len(stamps._pending) == MOST_PENDING
    assert stamps.place(3 * MOST_PENDING) == (3 * MOST_PENDING, 3.0 * MOST_PENDING)
    assert stamps.lost.count == 3 * MOST_PENDING


def test_a_stamp_that_never_comes_is_no_frame_while_all_can_be_decoded() -> None:
    indices, seconds = placed([0, 1, 2, 3, 4, 0, 1], [0, 3, 4, 0, 1])
    assert indices == [0, 1, 2, 3, 4]
    assert seconds == [0, 3, 4, 5, 6]
