"""Run folders and atomic writes."""

from pathlib import Path

import pytest

from dfer import runs
from dfer.errors import InputError
from dfer.runs import RunFolder, held, write_atomically


def test_a_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_atomically(path, "long content")
    write_atomically(path, b"short")
    assert path.read_bytes() == b"short"
    assert [entry.name for entry in path.parent.iterdir()] == ["b.txt"]


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "b.txt"
    write_atomically(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs.os, "fsync", full)
    with pytest.raises(InputError, match=r"b\.txt: No space left on device; free"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["b.txt"]


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_atomically(tmp_path / "file" / "x", "y")


def test_manifest_round_trip(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_manifest({"state": "running", "seed": 3})
    assert run.read_manifest() == {"state": "running", "seed": 3}


@pytest.mark.parametrize("content", [None, "{", "[]", "\x00"])
def test_no_manifest_is_no_run(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json"):
        RunFolder(tmp_path).read_manifest()


def test_a_folder_of_folds_names_them(tmp_path: Path) -> None:
    for fold in (1, 2):
        RunFolder(tmp_path / f"fold-{fold}").write_manifest({})
    with pytest.raises(InputError, match=r"no run folder.*runs below it: .*fold-1, .*fold-2$"):
        RunFolder(tmp_path).read_manifest()


def test_names_are_all_different(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    names = [
        run.config,
        run.manifest,
        run.metrics,
        run.agreement,
        run.evaluation,
        run.report,
        run.card,
        run.figures,
        run.resume_state,
    ]
    names += [run.checkpoint(), run.checkpoint("last"), run.predictions(), run.predictions("held-out")]
    assert len(set(names)) == len(names)
    assert all(name.is_relative_to(tmp_path) for name in names)


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(InputError, match="another run writes to"), held(tmp_path):
        pass
    with held(tmp_path):
        pass
    with pytest.raises(OSError, match="No such file"), held(tmp_path / "gone"):
        pass
