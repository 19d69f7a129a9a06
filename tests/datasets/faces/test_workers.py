import time
from pathlib import Path

import numpy as np
import pytest

from dfer.datasets.faces.clips import Clip, Cut, CutSettings
from dfer.datasets.faces.workers import CRASHED, Bench, Job, cut_many
from dfer.errors import InputError
from dfer.video.detect import FaceDetector
from dfer.video.encode import write_video
from dfer.video.whole_frame import WholeFrame

MORTAL = """
import os, time
from dfer.video.detect import Box, Face
import numpy as np

class Mortal:
    name = "mortal"

    def __call__(self, frame):
        grey = int(frame[0, 0, 0])
        if 95 < grey < 105:
            os._exit(7)  # as a fault of a decoder would
        if 195 < grey < 205:
            time.sleep(60)
        return [Face(Box(0, 0, 32, 32), 0.9, np.array([[10.0, 14.0], [22.0, 14.0]]))]
"""


def bench(tmp_path: Path, detector: FaceDetector) -> Bench:
    return Bench(tmp_path / "out", tmp_path / "out/.cutting", detector, CutSettings(min_face=0, min_seconds=0.1))


def jobs(tmp_path: Path, *greys: int) -> list[Job]:
    found = []
    for number, grey in enumerate(greys):
        path = tmp_path / f"{number}.mp4"
        write_video(path, [np.full((32, 32, 3), grey, np.uint8)] * 5)
        found.append(Job(number, path, f"{number}"))
    return found


@pytest.fixture
def mortal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaceDetector:
    """A detector that other processes can import: it ends the process at one grey, and falls asleep at another."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mortal_detector.py").write_text(MORTAL)
    monkeypatch.syspath_prepend(tmp_path / "code")
    import mortal_detector

    detector: FaceDetector = mortal_detector.Mortal()
    return detector


def test_here_and_in_processes_it_is_the_same(tmp_path: Path) -> None:
    wanted = jobs(tmp_path, 20, 60, 140)
    expected = [(job, Cut((Clip(job.clip, 5, 32.0),))) for job in wanted]
    assert list(cut_many(wanted, bench(tmp_path, WholeFrame()), 0)) == expected
    here = (tmp_path / "out/1/00003.jpg").read_bytes()
    assert sorted(cut_many(wanted, bench(tmp_path, WholeFrame()), 2)) == expected
    assert (tmp_path / "out/1/00003.jpg").read_bytes() == here


@pytest.mark.slow
def test_a_video_that_ends_its_process_is_the_only_one_lost(tmp_path: Path, mortal: FaceDetector) -> None:
    wanted = jobs(tmp_path, 20, 100, 60, 140)
    found = {job.number: cut for job, cut in cut_many(wanted, bench(tmp_path, mortal), 2)}
    assert found.pop(1) == Cut((), "unreadable", CRASHED)
    assert {number: len(cut.clips) for number, cut in found.items()} == {0: 1, 2: 1, 3: 1}
    assert not (tmp_path / "out/1").exists()


def test_closed_it_stops_at_once(tmp_path: Path, mortal: FaceDetector) -> None:
    found = cut_many(jobs(tmp_path, 20, 200, 200), bench(tmp_path, mortal), 2)
    assert next(found)[0].number == 0
    start = time.monotonic()
    found.close()
    assert time.monotonic() - start < 20
    assert not (tmp_path / "out/1").exists()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to_ends_all(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match=r"cannot write .*out: Not a directory"):
        list(cut_many(jobs(tmp_path, 20, 60), bench(tmp_path, WholeFrame()), 2))
