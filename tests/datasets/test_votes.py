import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openpyxl import Workbook

from dfer.datasets import DFEW
from dfer.datasets.votes import ambiguity, read_votes, shares_of
from dfer.errors import InputError

HEADER = ["order", "1happy", "2sad", "3neutral", "4angry", "5surprise", "6disgust", "7fear", "annotation"]
GOOD = [[1, 7, 1, 2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 0, 0, 10, 7]]


def sheet(path: Path, rows: Sequence[Sequence[Any]], header: Sequence[Any] = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    book = Workbook(write_only=True)
    page = book.create_sheet("annotation")
    for row in (header, *rows):
        page.append(list(row))
    book.save(path)
    return path


def voted(root: Path, clips: int = 70) -> Path:
    """Write seven votes for each clip's class, three for the next; rows in no order."""
    rows = []
    for i in range(clips, 0, -1):
        counts = np.zeros(7, int)
        counts[[i % 7, (i + 1) % 7]] = 7, 3
        rows.append([i, *counts.tolist(), i % 7 + 1])
    return sheet(root / "Annotation/annotation.xlsx", rows)


def test_votes_of_every_clip(tmp_path: Path) -> None:
    votes = read_votes(sheet(tmp_path / "a.xlsx", GOOD))
    assert list(votes) == ["00001", "00002"]
    assert votes["00001"].tolist() == [7, 1, 2, 0, 0, 0, 0]
    assert votes["00002"].dtype == np.int64


def test_columns_are_known_by_name(tmp_path: Path) -> None:
    header = ["annotation", "7Fear", " 6disgust", "5surprise", "4angry", "3neutral", "2sad", "1happy", "Order", "by"]
    votes = read_votes(sheet(tmp_path / "a.xlsx", [[1, 0, 0, 0, 0, 2, 1, 7, 1, "me"]], header))
    assert votes["00001"].tolist() == [7, 1, 2, 0, 0, 0, 0]


def test_text_floats_empty_cells_and_empty_rows_are_taken(tmp_path: Path) -> None:
    rows = [["00001", "7", 1.0, 2, None, None, None, None], [], [None] * 9, [2, None, None, None, None, None, None, 10]]
    votes = read_votes(sheet(tmp_path / "a.xlsx", rows))
    assert {name: row.tolist() for name, row in votes.items()} == {
        "00001": [7, 1, 2, 0, 0, 0, 0],
        "00002": [0, 0, 0, 0, 0, 0, 10],
    }


def test_the_sheet_with_the_columns_is_found(tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(["notes"])
    page = book.create_sheet("votes")
    for row in (HEADER, *GOOD):
        page.append(row)
    book.save(tmp_path / "a.xlsx")
    assert len(read_votes(tmp_path / "a.xlsx")) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([3, 1, "x", 0, 0, 0, 0, 0, 1], r"a.xlsx:4: 'x' of clip 00003 is no number of votes for sad; restore the row"),
        ([3, 1, -2, 0, 0, 0, 0, 0, 1], r"a.xlsx:4: -2 of clip 00003 is no number of votes for sad"),
        ([3, 1, 0, 0.5, 0, 0, 0, 0, 1], r"a.xlsx:4: 0.5 of clip 00003 is no number of votes for neutral"),
        ([3, 1, 1e300, 0, 0, 0, 0, 0, 1], r"a.xlsx:4: 1e\+300 of clip 00003 is no number of votes for sad"),
        ([3, 1, "9" * 5000, 0, 0, 0, 0, 0, 1], r"a.xlsx:4: '9{29} of clip 00003 is no number of votes for sad"),
        (["9" * 5000, 1, 0, 0, 0, 0, 0, 0, 1], r"a.xlsx:4: '9{29} in the column order is no clip number"),
        ([3, 1, True, 0, 0, 0, 0, 0, 1], r"a.xlsx:4: True of clip 00003 is no number of votes for sad"),
        (["3.mp4", 1, 0, 0, 0, 0, 0, 0, 1], r"a.xlsx:4: '3.mp4' in the column order is no clip number"),
        ([None, 1, 0, 0, 0, 0, 0, 0, 1], r"a.xlsx:4: None in the column order is no clip number"),
        (["1", 1, 0, 0, 0, 0, 0, 0, 1], r"a.xlsx:4: clip 00001 stands in row 2 too; delete one of the two rows"),
    ],
)
def test_wrong_rows(tmp_path: Path, row: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_votes(sheet(tmp_path / "a.xlsx", [*GOOD, row]))
    assert "\n" not in str(caught.value)


def test_a_clip_that_nobody_voted_on_matters_where_it_is_asked_for(tmp_path: Path) -> None:
    rows = [*GOOD, [3, 0, 0, 0, 0, 0, 0, 0, 0], [4, *[None] * 7, 0]]
    path = sheet(tmp_path / "a.xlsx", rows)
    assert list(read_votes(path)) == ["00001", "00002"]
    assert shares_of(path, ["00002"]).tolist() == [[0, 0, 0, 0, 0, 0, 1]]
    with pytest.raises(InputError, match=r"a.xlsx has no votes of 2 of 3 clips, the first is 00003; take the file"):
        shares_of(path, ["00001", "00003", "00004"])
    with pytest.raises(InputError, match=r"a.xlsx:6: clip 00003 stands in row 4 too"):
        read_votes(sheet(path, [*rows, [3, 10, 0, 0, 0, 0, 0, 0, 1]]))


@pytest.mark.parametrize(
    "header",
    [
        [],
        ["order", "1happy"],
        ["clip", *HEADER[1:]],
        [*HEADER[:3], "3calm", *HEADER[4:]],
        [*HEADER, "happy"],
    ],
)
def test_wrong_columns(tmp_path: Path, header: list[str]) -> None:
    with pytest.raises(
        InputError, match=r"a.xlsx: no sheet with the columns order,1happy,.*,7fear; take the file that"
    ):
        read_votes(sheet(tmp_path / "a.xlsx", GOOD, header))


def test_files_that_are_no_workbook(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with pytest.raises(InputError, match=r"a.xlsx not found; take the file that comes with DFEW"):
        read_votes(path)
    path.write_text(",".join(HEADER) + "\n1,10,0,0,0,0,0,0,1\n")
    with pytest.raises(
        InputError, match=r"a.xlsx is no xlsx workbook \(it begins with b'order,1happy,2sad,3n'\); save"
    ):
        read_votes(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"a.xlsx is no xlsx workbook \(it begins with b''\)"):
        read_votes(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("votes.txt", "none")
    with pytest.raises(InputError, match=r"a.xlsx cannot be read as a workbook \(KeyError\); restore it"):
        read_votes(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"a.xlsx not found"):
        read_votes(path)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_a_workbook_cut_short(tmp_path: Path, keep: float) -> None:
    whole = sheet(tmp_path / "a.xlsx", GOOD * 1).read_bytes()
    (tmp_path / "a.xlsx").write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(InputError, match=r"a.xlsx cannot be read as a workbook \(BadZipFile\); restore it"):
        read_votes(tmp_path / "a.xlsx")


def test_a_damaged_sheet(tmp_path: Path) -> None:
    rows = [[i, 7, 3, 0, 0, 0, 0, 0, 1] for i in range(1, 500)]
    with zipfile.ZipFile(sheet(tmp_path / "a.xlsx", rows)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = "xl/worksheets/sheet1.xml"
    parts[name] = parts[name][:9000]
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    with pytest.raises(InputError, match=r"a.xlsx cannot be read as a workbook"):
        read_votes(tmp_path / "a.xlsx")


def test_wrong_dimensions_hide_nothing(tmp_path: Path) -> None:
    with zipfile.ZipFile(sheet(tmp_path / "a.xlsx", GOOD)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = "xl/worksheets/sheet1.xml"
    parts[name] = parts[name].replace(b"<sheetData>", b'<dimension ref="A1"/><sheetData>')
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    assert len(read_votes(tmp_path / "a.xlsx")) == 2


def test_soft_labels_follow_the_rows(trees: Any, caplog: pytest.LogCaptureFixture) -> None:
    root = trees.dfew()
    voted(root)
    data = DFEW(root, "train", 2)
    shares = data.soft_labels()
    assert shares is not None
    assert shares.shape == (len(data), 7)
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    rows = np.arange(len(data))
    np.testing.assert_allclose(shares[rows, data.targets], 0.7, rtol=1e-6)
    np.testing.assert_allclose(shares[rows, (data.targets + 1) % 7], 0.3, rtol=1e-6)
    assert data.soft_labels() is shares  # kept
    assert data.with_transform(data.transform).soft_labels() is shares
    expected = -(0.7 * np.log(0.7) + 0.3 * np.log(0.3)) / np.log(7)
    doubt = data.ambiguity()
    assert doubt is not None
    np.testing.assert_allclose(doubt, expected, rtol=1e-5)
    assert not caplog.messages


def test_votes_are_read_when_asked_for(trees: Any) -> None:
    root = trees.dfew(clips=10)
    (root / "Annotation").mkdir()
    (root / "Annotation/annotation.xlsx").write_text("order\n")
    data = DFEW(root, "train", 2)
    with pytest.raises(InputError, match=r"annotation.xlsx is no xlsx workbook"):
        data.soft_labels()


def test_a_copy_without_votes(trees: Any) -> None:
    data = DFEW(trees.dfew(clips=10), "train", 2)
    assert data.soft_labels() is None
    assert data.ambiguity() is None


def test_clips_without_votes_are_refused_or_excluded(trees: Any) -> None:
    root = trees.dfew()
    voted(root, clips=68)
    data = DFEW(root, "train", 1)
    with pytest.raises(
        InputError, match=r"annotation.xlsx has no votes of 2 of 56 clips, the first is 00069; take the"
    ):
        data.soft_labels()
    (root / "x.txt").write_text("00069\n00070\n")
    shares = DFEW(root, "train", 1, exclude=root / "x.txt").soft_labels()
    assert shares is not None
    assert len(shares) == 54


def test_votes_for_another_class_than_the_label_are_said(trees: Any, caplog: pytest.LogCaptureFixture) -> None:
    root = trees.dfew(clips=10)
    voted(root, clips=10)
    path = root / "EmoLabel_DataSplit/train(single-labeled)/set_5.csv"
    lines = path.read_text().splitlines()
    clip = lines[2].split(",")[0]
    path.write_text("\n".join([*lines[:2], f"{clip},7", *lines[3:], ""]))
    data = DFEW(root, "train", 5)
    data.soft_labels()
    (said,) = caplog.messages
    assert f"annotation.xlsx: of {len(data)} clips, 1 have most votes for another class than their label" in said
    assert said.endswith(f"the first is {int(clip):05d}")


def test_ambiguity_is_entropy() -> None:
    votes = np.array([[10, 0, 0, 0], [5, 5, 0, 0], [1, 1, 1, 1], [6, 3, 1, 0]])
    found = ambiguity(votes)
    slow = []
    for row in votes:
        entropy = 0.0
        for count in row:
            if count:
                entropy -= count / row.sum() * np.log(count / row.sum())
        slow.append(entropy / np.log(4))
    np.testing.assert_allclose(found, slow, atol=1e-12)
    assert found[0] == 0
    assert found[1] == pytest.approx(0.5)
    assert found[2] == pytest.approx(1)
    np.testing.assert_allclose(ambiguity(votes / votes.sum(axis=1, keepdims=True)), found)


def test_no_clips_have_no_shares(tmp_path: Path) -> None:
    assert shares_of(sheet(tmp_path / "a.xlsx", GOOD), []).shape == (0, 7)


@pytest.mark.slow
def test_the_whole_of_dfew_is_read_in_seconds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [[i, *rng.multinomial(10, [1 / 7] * 7).tolist(), 1] for i in range(1, 16_373)]
    path = sheet(tmp_path / "a.xlsx", rows)
    start = time.process_time()
    assert len(read_votes(path)) == 16_372
    assert time.process_time() - start < 15
