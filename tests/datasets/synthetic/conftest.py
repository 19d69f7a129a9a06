"""Drawn clips of a test go to a folder of its own."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DFER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def digest() -> Callable[[Path], str]:
    """Sum up a tree: the names of its files, and what its lists say."""

    def of(root: Path) -> str:
        files = sorted(path for path in root.rglob("*") if path.is_file() and path.suffix not in (".json", ".xlsx"))
        lines = [path.relative_to(root).as_posix() for path in files]
        lines += [path.read_text() for path in files if path.suffix == ".csv"]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    return of
