"""Drawn clips of a test go to a folder of its own."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DFER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
