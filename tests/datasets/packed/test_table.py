from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dfer.datasets.packed import table as packed_table
from dfer.datasets.packed.table import About, Table, TableError, read_table

ABOUT = About("DFEW", "/data/DFEW", "Clip-1", "frames", 128, False, "95 420", 1000)


def table() -> Table:
    return Table(
        about=ABOUT,
        clips=("Clip/00001", "Clip/\udcff \u00e9"),
        bounds=np.array([0, 10, 10, 25], np.int64),
        sums=np.array([1, 0, 2**32 - 1], np.uint32),
        first=np.array([0, 1, 3], np.int64),
        stamps=np.array([[5, -1], [2**62, 7]], np.int64),
        digests=np.arange(32, dtype=np.uint8).reshape(2, 16),
    )


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_bytes(table().to_bytes())
    found, put = read_table(path), table()
    assert (found.about, found.clips) == (put.about, put.clips)
    for name in ("bounds", "sums", "first", "stamps", "digests"):
        a, b = getattr(found, name), getattr(put, name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert found.to_bytes() == path.read_bytes()
    assert replace(put, about=replace(ABOUT, size=64)).to_bytes() != path.read_bytes()


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    content, path = table().to_bytes(), tmp_path / "table"
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(TableError, match=r"is damaged or cut short|is of format"):
            read_table(path)


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    content, path = table().to_bytes(), tmp_path / "table"
    for length in range(0, len(content), 5):
        path.write_bytes(content[:length])
        with pytest.raises(TableError, match="is damaged or cut short"):
            read_table(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(TableError, match="is damaged or cut short"):
        read_table(path)


def test_damage_behind_the_header_leaves_what_it_is_about(tmp_path: Path) -> None:
    content, path = table().to_bytes(), tmp_path / "table"
    path.write_bytes(content[:-1])
    with pytest.raises(TableError) as caught:
        read_table(path)
    assert caught.value.about == ABOUT


def test_another_format_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table"
    monkeypatch.setattr(packed_table, "FORMAT", "0")
    path.write_bytes(table().to_bytes())
    monkeypatch.undo()
    with pytest.raises(TableError, match=r"^is of format 0, not 1$"):
        read_table(path)
