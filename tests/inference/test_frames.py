import numpy as np

from dfer.inference.frames import BLOCK, Frames


def picture(number: int) -> np.ndarray:
    return np.full((2, 2, 3), number, np.uint8)


def filled(count: int) -> Frames:
    frames = Frames()
    for number in range(count):
        frames.add(number, picture(number))
    return frames


def read(frames: Frames, *wanted: int) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in frames.read(np.array(wanted))]


def test_gives_frames_in_the_order_asked_for_with_repeats() -> None:
    assert read(filled(9), 8, 0, 3, 3) == [8, 0, 3, 3]


def test_forgets_what_is_not_needed_but_never_the_last() -> None:
    frames = filled(9)
    frames.forget(5)
    assert len(frames) == 4
    assert read(frames, 5, 8) == [5, 8]
    frames.forget(100)
    assert read(frames, 8) == [8]


def test_thinned_out_frames_are_stood_for_by_a_nearest_one() -> None:
    frames = filled(9)
    frames.thin()
    frames.thin()
    assert len(frames) == 3
    assert read(frames, 0, 1, 3, 5, 8) == [0, 0, 4, 4, 8]
    frames.add(9, picture(9))
    frames.add(12, picture(12))
    assert read(frames, 9, 12) == [8, 12]


def test_thinning_leaves_a_frame() -> None:
    frames = filled(4)
    frames.forget(3)
    frames.thin()
    assert read(frames, 3) == [3]


def test_thinning_gives_memory_back() -> None:
    frames = filled(4 * BLOCK)
    frames.thin()
    frames.thin()
    assert len({id(frame.base) for frame in frames.read(np.arange(4 * BLOCK))}) == 1
