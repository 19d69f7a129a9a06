import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from dfer.datasets import CSVClips, FolderClips
from dfer.datasets.faces.clips import Clip, Cut
from dfer.datasets.faces.lists import (
    Cutting,
    clip_list,
    clips_by_label,
    dropped_list,
    find_dropped,
    print_summary,
    split_rule,
    splits_of,
)
from dfer.datasets.faces.sources import Known, Source, Sources, Unfit


def cutting(clip: str, known: Known, faces: int = 1, cut: Cut | None = None) -> Cutting:
    clips = tuple(Clip(clip + (f"-{number}" if number > 1 else ""), 3, 60.0) for number in range(1, faces + 1))
    return Cutting(Source(f"{clip}.mp4", clip, known), cut or Cut(clips))


def own(count: int, faces: int = 1) -> list[Cutting]:
    return [cutting(f"{name}/{number}", Known(name), faces) for name in ("sad", "fear") for number in range(count)]


def write(out: Path, cuttings: Sequence[Cutting]) -> None:
    for _, cut in cuttings:
        for clip in cut.clips:
            (out / clip.clip).mkdir(parents=True)
            for frame in range(clip.frames):
                jpeg = simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8))
                (out / clip.clip / f"{frame + 1:05d}.jpg").write_bytes(jpeg)


def test_without_folders_or_actors_the_split_is_that_of_folder_clips(tmp_path: Path) -> None:
    cuttings = own(13)
    write(tmp_path, cuttings)
    (tmp_path / "clips.csv").write_text(clip_list(cuttings, all_faces=False))
    for split in ("train", "test"):
        listed, found = CSVClips(tmp_path / "clips.csv", split), FolderClips(tmp_path, split)
        assert set(listed.clip_ids) == set(found.clip_ids)
        assert listed.labels == found.labels
        assert listed.groups() is None


def test_all_faces_of_a_video_stay_together(tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(clip_list(own(10, faces=3), all_faces=True))))
    assert len(rows) == 60
    assert {row["split"] for row in rows} == {"train", "test"}
    of_video: dict[str, set[str]] = {}
    for row in rows:
        assert row["clip"].startswith(row["subject"])
        of_video.setdefault(row["subject"], set()).add(row["split"])
    assert len(of_video) == 20
    assert all(len(splits) == 1 for splits in of_video.values())


def test_folders_say_the_split() -> None:
    cuttings = [cutting("train/sad/1", Known("sad", "train")), cutting("test/sad/1", Known("sad", "test"))]
    assert splits_of(cuttings) == {"train/sad/1": "train", "test/sad/1": "test"}


def actors(count: int) -> list[Cutting]:
    return [
        cutting(f"{actor}/{name}", Known(name, subject=f"{actor:02d}"))
        for actor in range(1, count + 1)
        for name in ("sad", "fear")
    ]


@pytest.mark.parametrize(("count", "tested"), [(24, 5), (91, 18), (2, 1), (3, 1), (1, 0)])
def test_an_actor_is_in_one_split(count: int, tested: int) -> None:
    cuttings = actors(count)
    splits = splits_of(cuttings)
    of_actor = {source.known.subject: splits[source.clip] for source, _ in cuttings}
    assert all(splits[source.clip] == of_actor[source.known.subject] for source, _ in cuttings)
    assert list(of_actor.values()).count("test") == tested


def test_the_actors_that_are_tested_are_fixed() -> None:
    splits = splits_of(actors(24))
    assert {clip.partition("/")[0] for clip, split in splits.items() if split == "test"} == {"3", "7", "8", "9", "13"}


def test_actors_are_subjects_in_the_list() -> None:
    rows = list(csv.DictReader(io.StringIO(clip_list(actors(3), all_faces=False))))
    assert [row["subject"] for row in rows] == ["01", "01", "02", "02", "03", "03"]
    assert rows[0]["frames"] == "3"


def test_dropped_videos_are_listed_with_their_reasons_on_one_line_each() -> None:
    sources = Sources("folder", [], {"x.mp4": Unfit("not in a class folder of the root"), "y": Unfit("old", True)})
    cuttings = [cutting("sad/1", Known("sad")), cutting("sad/2\n", Known("sad"), cut=Cut((), "unreadable", 'a, "b"'))]
    dropped = find_dropped(sources, cuttings)
    assert [one.by_rule for one in dropped] == [False, True, False]
    assert list(csv.reader(dropped_list(dropped).splitlines())) == [
        ["video", "reason", "detail"],
        ["x.mp4", "misplaced", "not in a class folder of the root"],
        ["y", "left out", "old"],
        ["sad/2\\n.mp4", "unreadable", 'a, "b"'],
    ]


def test_clips_by_label_come_in_the_usual_order() -> None:
    cuttings = [cutting("bored/1", Known("bored")), *own(2, faces=2)]
    found = clips_by_label(cuttings)
    assert list(found) == ["sad", "fear", "bored"]
    assert [clip.clip for clip in found["sad"]] == ["sad/0", "sad/0-2", "sad/1", "sad/1-2"]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (Known("sad", "train"), "folders train and test"),
        (Known("sad", subject="1"), "no actor in both"),
        (Known("sad"), "in each class, the first fifth of the clips"),
        (Known(), ""),
    ],
)
def test_how_clips_are_shared_out_is_said(known: Known, words: str) -> None:
    found = split_rule(Sources("any", [Source("a.mp4", "a", known)], {}))
    assert words in found
    assert bool(found) == bool(words)


def test_the_summary_counts(capsys: pytest.CaptureFixture[str]) -> None:
    cuttings = [
        *own(5),
        cutting("sad/x", Known("sad"), cut=Cut((), "no face")),
        cutting("sad/[y]", Known("sad"), cut=Cut((), "too short", "0.20 s")),
        cutting("sad/z", Known("sad"), cut=Cut((Clip("sad/z", 9, 60.0),), "", "cut off after 1.0 s")),
    ]
    sources = Sources("folder", [source for source, _ in cuttings], {})
    kept = [one for one in cuttings if one.cut.clips]
    print_summary(sources, kept, find_dropped(sources, cuttings))
    shown = capsys.readouterr().out
    assert "videos: 13, clips: 11, frames: 39" in shown
    assert "1 damaged, kept in part: sad/z.mp4" in shown
    assert "1 without a clip, no face: sad/x.mp4" in shown
    assert "1 without a clip, too short: sad/[y].mp4 (0.20 s)" in shown
    lines = [line.replace("│", " ").split() for line in shown.splitlines()]
    assert ["fear", "4", "1", "5"] in lines
    assert ["sad", "5", "1", "6"] in lines
