"""What a run's predictions are made from."""

from pathlib import Path

import pytest

from dfer.errors import InputError
from dfer.evaluation.source import Source, moved
from dfer.runs import RunFolder


def test_opens_the_best_model_and_the_clips_as_it_wants_them(finished: RunFolder) -> None:
    source = Source.open(finished)
    clip = source.clips("test")[0].clip
    spec = source.loaded.input_spec
    assert clip.shape == (spec.frames, 3, spec.size, spec.size)
    assert not source.loaded.model.training


def test_no_checkpoint_says_how_to_go_on(own_run: RunFolder) -> None:
    own_run.checkpoint("best").unlink()
    with pytest.raises(InputError, match=r"no checkpoint yet.*--resume"):
        Source.open(own_run)


def test_moved_data_are_looked_for_there(tmp_path: Path) -> None:
    found = moved({"class": "FolderClips", "args": {"root": "/old", "size": 3}}, tmp_path)
    assert found == {"class": "FolderClips", "args": {"root": str(tmp_path), "size": 3}}


def test_a_packed_copy_that_has_gone_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    there = {"class": "FolderClips", "args": {"root": "/old", "packed": str(tmp_path)}}
    assert moved(there, None) == there
    assert not caplog.messages
    gone = {"class": "FolderClips", "args": {"root": "/old", "packed": str(tmp_path / "gone")}}
    assert moved(gone, None) == {"class": "FolderClips", "args": {"root": "/old", "packed": True}}
    assert f"the packed copy {tmp_path / 'gone'} is gone; one beside the data is read" in caplog.text
    for packed in (True, False):
        asked = {"class": "FolderClips", "args": {"root": "/old", "packed": packed}}
        assert moved(asked, None) == asked


def test_drawn_data_lie_nowhere(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave out --data"):
        moved({"class": "SyntheticFaces", "args": {"size": 48}}, tmp_path)
