import re
from pathlib import Path

import pytest

from dfer.datasets.listing import Listed, Problem
from dfer.datasets.named_clips import NameRule, Said, find_named, media_in, read_names, walk
from dfer.errors import InputError


def read(name: str) -> Said | str | None:
    kind, number = name[0], name[1:]
    return {"A": Said("happy", number), "B": f"{number} is bad", "C": None}[kind]


RULE = NameRule(
    data_set="Letters",
    alike=re.compile("[A-C][0-9]+"),
    read=read,
    clip=lambda name: name,
    rank=lambda name: "",
    suffix=".flv",
    holds="letters",
)


def tree(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def test_clips_are_found_at_any_depth_and_ordered_by_name(tmp_path: Path) -> None:
    root = tree(tmp_path, "x/y/A2.mp4", "A10.MKV", "z/a1.avi", "z/A3.txt", "z/other.mp4", ".old/A4.mp4", "x/._A2.mp4")
    found = read_names(root, "video", RULE)
    assert [(clip.clip_id, clip.label, clip.subject) for clip in found.listing.clips] == [
        ("A1", "happy", "1"),
        ("A10", "happy", "10"),
        ("A2", "happy", "2"),
    ]
    assert found.paths == ("z/a1.avi", "A10.MKV", "x/y/A2.mp4")
    assert found.listing.clips[0].where == f"{root}/z/a1.avi"
    assert found.listing.problems == []


def test_entries_follow_the_clips_asked_for(tmp_path: Path) -> None:
    found = read_names(tree(tmp_path, "A1.mp4", "A2.mp4", "A3.mp4"), "video", RULE)
    index = found.open_index()
    chosen = found.chosen(lambda clip: clip.subject != "2").clips
    assert [index.clips[entry] for entry in found.entries(index, chosen[::-1])] == ["A3.mp4", "A1.mp4"]


def test_a_new_video_makes_a_new_index(tmp_path: Path) -> None:
    assert len(read_names(tree(tmp_path, "A1.mp4"), "video", RULE).open_index().clips) == 1
    assert len(read_names(tree(tmp_path, "A2.mp4"), "video", RULE).open_index().clips) == 2


def test_the_published_format_is_taken_before_copies(tmp_path: Path) -> None:
    found = read_names(tree(tmp_path, "A1.mp4", "flash/A1.flv", "A2.avi", "A2.mp4"), "video", RULE)
    assert found.paths == ("flash/A1.flv", "A2.mp4")
    assert found.listing.problems == []


def test_two_files_of_one_clip_are_a_problem(tmp_path: Path) -> None:
    root = tree(tmp_path, "one/A1.mp4", "two/A1.mp4", "three/a1.MP4")
    problems = read_names(root, "video", RULE).listing.problems
    assert [str(problem) for problem in problems] == [
        f"{root}/three/a1.MP4: clip A1 lies at {root}/one/A1.mp4 too; remove one of them",
        f"{root}/two/A1.mp4: clip A1 lies at {root}/one/A1.mp4 too; remove one of them",
    ]
    assert {problem.clip_id for problem in problems} == {"A1"}


def test_a_wrong_name_is_a_problem_and_one_left_out_by_rule_is_none(tmp_path: Path) -> None:
    found = read_names(tree(tmp_path, "A1.mp4", "B7.mp4", "C1.mp4"), "video", RULE)
    reason = "7 is bad; give it the name that it was published under, or move it away"
    assert found.listing.problems == [Problem("B7", reason, f"{tmp_path}/B7.mp4")]
    assert found.paths == ("A1.mp4",)


def test_frame_folders(tmp_path: Path) -> None:
    root = tree(tmp_path, "x/A1/1.jpg", "x/A1/B9.mp4", "A2/deep/A3/1.jpg", "A4.mp4")
    assert read_names(root, "frames", RULE).paths == ("x/A1", "A2")
    assert find_named(root, "video", RULE.alike) == ["A4.mp4"]  # nothing is looked for among frames
    assert media_in(root, RULE) == ("video", "frames")
    assert media_in(root / "x", RULE) == ("frames",)


def test_nothing_found(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Letters has no media 'sound'; choose one of video, frames"):
        read_names(tmp_path, "sound", RULE)
    with pytest.raises(InputError, match=r"no video named as in Letters; it holds nothing: give the folder .* letters"):
        read_names(tmp_path, "video", RULE)
    with pytest.raises(InputError, match="no video named as in Letters; there is media='frames'"):
        read_names(tree(tmp_path, "A1/1.jpg"), "video", RULE)


def test_an_empty_choice_names_the_actors(tmp_path: Path) -> None:
    found = read_names(tree(tmp_path, "A1.mp4", "A2.mp4"), "video", RULE)
    with pytest.raises(InputError, match=r"holds no clip of fold 9 test, of its actors 1, 2; add the others, or excl"):
        found.checked(found.chosen(lambda clip: clip.subject == "9"), "fold 9 test", "Letters X")
    one = found.chosen(lambda clip: clip.subject == "2")
    assert found.checked(one, "", "") == [Listed("A2", "happy", f"{tmp_path}/A2.mp4", "2")]


def test_links_are_followed_once(tmp_path: Path) -> None:
    tree(tmp_path / "far", "x/A1.mp4")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "near").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "up").symlink_to(tmp_path / "root")
    assert find_named(tmp_path / "root", "video", RULE.alike) == ["near/x/A1.mp4"]
    assert [str(below) for below, _, _ in walk(tmp_path / "root")] == [".", "near", "near/x"]


def test_a_message_is_one_line_whatever_a_folder_is_called(tmp_path: Path) -> None:
    problem = read_names(tree(tmp_path, "a\nb/B7.mp4", "A1.mp4"), "video", RULE).listing.problems[0]
    assert "\n" not in str(problem)
    assert "B7.mp4: 7 is bad; give it the name that it was published under, or move it away" in str(problem)
