"""What was done in a folder, and whose output is whose."""

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfer.errors import InputError
from dfer.inference.summary import KIND, LONGEST, Entry, Summary, safe, stamp


def entry(video: Path, name: str = "a", **more: object) -> Entry:
    size, modified = stamp(video)
    told = {"outputs": (f"{name}.json",), "asked": "this", "size": size, "modified": modified, **more}
    return replace(Entry(str(video), name, "done"), **told)  # type: ignore[arg-type]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    (tmp_path / "a.mp4").write_bytes(b"pictures")
    return tmp_path / "a.mp4"


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    return Summary.open(tmp_path / "out")


def test_what_is_noted_is_read_again(summary: Summary, video: Path) -> None:
    odd = video.with_name('two\nlines, "quoted" 😀 \udcff.mp4')
    summary.add(entry(video))
    summary.add(Entry(str(odd), "b", "failed", "is empty", notes=("drawn",)))
    summary.save()
    again = Summary.open(summary.folder)
    assert again.entries == summary.entries
    rows = list(csv.DictReader((summary.folder / "summary.csv").read_text().splitlines()))
    assert [(row["state"], row["error"], row["notes"]) for row in rows] == [
        ("done", "", ""),
        ("failed", "is empty", "drawn"),
    ]
    assert rows[1]["video"].endswith('two\\nlines, "quoted" 😀 \\udcff.mp4')


def test_finished_only_while_all_is_as_it_was(summary: Summary, video: Path) -> None:
    summary.add(entry(video))
    assert summary.finished(video, "this", [".json"]) is None  # the output is not there
    (summary.folder / "a.json").write_text("{}")
    assert summary.finished(video, "this", [".json"]) == entry(video)
    assert summary.finished(video, "that", [".json"]) is None
    assert summary.finished(video, "this", [".json", ".html"]) is None
    assert summary.finished(video.with_name("b.mp4"), "this", [".json"]) is None
    video.write_bytes(b"other pictures")
    assert summary.finished(video, "this", [".json"]) is None
    summary.add(entry(video, state="failed"))
    assert summary.finished(video, "this", [".json"]) is None
    summary.add(entry(video, state="damaged"))
    assert summary.finished(video, "this", [".json"]) is not None


def test_names_stay_with_their_video_and_apart(summary: Summary, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("x/a.mp4", "y/a.mp4", "y/A.mov", "y/a b.mp4", "y/a%b.mp4", "summary.mp4")]
    for path in paths:
        summary.add(Entry(str(path), summary.name(path), "done"))
    names = [one.name for one in summary.entries.values()]
    assert names[0] == "a"
    assert names[3] == "a_b"
    assert len({name.casefold() for name in names}) == 6
    assert "summary" not in names
    assert all(name == safe(name) for name in names)
    assert [Summary(tmp_path, dict(summary.entries)).name(path) for path in paths] == names


@given(st.text(st.characters(blacklist_characters="/\0"), max_size=200))
def test_any_name_is_made_safe(stem: str) -> None:
    name = safe(stem)
    assert name
    assert name[0] not in "-."
    assert len(name.encode()) <= LONGEST
    assert all(letter.isalnum() or letter in "_-." for letter in name)
    assert safe(name) == name


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        '{"kind": "something", "format": 1, "files": []}',
        '{"kind": "dfer predict", "format": 9, "files": []}',
        '{"kind": "dfer predict", "format": 1, "files": [{"video": "a"}]}',
        '{"kind": "dfer predict", "format": 1, "files": [1]}',
        json.dumps({"kind": KIND, "format": 1, "files": [asdict(Entry("a.mp4", "../../a", "done"))]}),
    ],
)
def test_a_damaged_summary_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(InputError, match=r"summary\.json is no summary of dfer predict, or damaged"):
        Summary.open(tmp_path)
    assert (tmp_path / "summary.json").read_text() == content


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.json").write_text("precious")
    with pytest.raises(InputError, match=r"holds other files and no summary\.json"):
        Summary.open(tmp_path)
    with pytest.raises(InputError, match="is a file; give a folder"):
        Summary.open(tmp_path / "thesis.json")


def test_writing_does_not_take_over(summary: Summary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, writes = [0.0], []

    def write(path: Path, content: object) -> None:
        now[0] += 0.5
        writes.append(path.name)

    monkeypatch.setattr("dfer.inference.summary.write_atomically", write)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for number in range(200):
        now[0] += 1
        summary.add(Entry(str(tmp_path / f"{number}.mp4"), f"{number}", "done"))
    assert 2 * 8 <= len(writes) <= 2 * 11  # a second every twenty


def test_json_is_plain(summary: Summary, video: Path) -> None:
    summary.add(entry(video, label="happy", share=0.5, faces=1, seconds=2.5))
    summary.save()
    (one,) = json.loads((summary.folder / "summary.json").read_text())["files"]
    assert (one["video"], one["state"], one["label"], one["outputs"]) == (str(video), "done", "happy", ["a.json"])


def test_one_run_at_a_time_and_what_another_did_is_kept(tmp_path: Path, video: Path) -> None:
    first, second = Summary.open(tmp_path / "out"), Summary.open(tmp_path / "out")
    with first.held():
        with pytest.raises(InputError, match="another run writes to"), second.held():
            pass
        first.add(entry(video))
        first.save()
    with second.held():
        assert list(second.entries) == [str(video)]
    assert Summary.open(tmp_path / "out").entries == second.entries


def test_a_folder_that_was_only_held_is_as_good_as_new(tmp_path: Path) -> None:
    with Summary.open(tmp_path / "out").held():
        pass
    assert Summary.open(tmp_path / "out").entries == {}
