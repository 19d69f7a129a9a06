"""One video on its way through a pipeline."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfer.inference import Pipeline, reading
from dfer.inference.reading import gaps
from dfer.types import InputSpec
from dfer.video import write_video
from dfer.video.whole_frame import WholeFrame


class Clock:
    """Says of a clip how bright each of its frames is: in a film that gets brighter, which frames these are."""

    name = "clock"
    input_spec = InputSpec(4, 16, ("a", "b", "c", "d"))
    temperature = 1.0
    sampling = "segments"
    about: Mapping[str, Any] = {"data": {"drawn": True}}
    details: Mapping[str, Any] = {}

    def logits(self, clip: np.ndarray) -> np.ndarray:
        return clip.mean(axis=(1, 3, 4)).astype(np.float32) / 50


@pytest.fixture
def film(tmp_path: Path) -> Callable[[int], Path]:
    def write(count: int) -> Path:
        frames = [np.full((32, 48, 3), 20 + 200 * i // count, np.uint8) for i in range(count)]
        write_video(tmp_path / "film.mp4", frames, fps=20)
        return tmp_path / "film.mp4"

    return write


def test_progress_grows_and_ends_at_the_end(film: Callable[[int], Path]) -> None:
    told: list[tuple[float, float | None]] = []
    found = Pipeline(Clock(), WholeFrame())(film(50), progress=lambda *now: told.append(now))
    done = [one for one, _ in told]
    assert done == sorted(done)
    assert len(told) >= 50
    assert done[0] == 0.0
    assert told[-1] == (found.seconds, found.seconds)
    assert all(total == pytest.approx(2.5, abs=0.05) for _, total in told)


def test_what_progress_raises_stops_the_work_and_the_next_video_is_fine(film: Callable[[int], Path]) -> None:
    class StopError(Exception):
        pass

    def stop(done: float, total: float | None) -> None:
        if done > 1:
            raise StopError

    video, pipeline = film(60), Pipeline(Clock(), WholeFrame(), window=1.0)
    with pytest.raises(StopError):
        pipeline(video, progress=stop)
    assert len(pipeline(video).faces) == 1


def test_a_long_window_is_thinned_out_and_says_so(film: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    video, pipeline = film(100), Pipeline(Clock(), WholeFrame(), window=None)
    whole = pipeline(video)
    monkeypatch.setattr(reading, "HELD_BYTES", 30 * 16 * 16 * 3)
    thin = pipeline(video)
    assert "one frame in 4" in thin.notes[-1]
    assert not any("one frame in" in note for note in whole.notes)
    wanted, found = whole.faces[0].moments[0].probabilities, thin.faces[0].moments[0].probabilities
    np.testing.assert_allclose(found, wanted, atol=0.05)
    assert found != wanted


def test_windows_that_fit_are_not_thinned_out(film: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "HELD_BYTES", 30 * 16 * 16 * 3)
    notes = Pipeline(Clock(), WholeFrame(), window=1.0)(film(200)).notes
    assert not any("one frame in" in note for note in notes)


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30))), st.integers(1, 9))
def test_gaps_are_where_nobody_is(drawn: list[tuple[int, int]], shortest: int) -> None:
    spans = [(float(start), float(min(start + length, 100))) for start, length in drawn]
    nobody = [not any(start <= second < end for start, end in spans) for second in range(100)]
    wanted, start = [], None
    for second, alone in enumerate([*nobody, False]):
        if alone and start is None:
            start = second
        if not alone and start is not None:
            if second - start >= shortest:
                wanted.append((float(start), float(second)))
            start = None
    assert gaps(spans, 100.0, shortest) == tuple(wanted)


def test_without_anyone_even_the_shortest_video_is_a_gap() -> None:
    assert gaps([], 0.04, 0.5) == ((0.0, 0.04),)
