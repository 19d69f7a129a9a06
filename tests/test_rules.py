"""The habits of the house, enforced."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for path in (ROOT / "src/dfer").rglob("*.py") if path.name != "__init__.py")
ROOMS_OF = {
    "lightning": {"training"},
    "av": {"video"},
    "matplotlib": {"figures"},
    "mediapipe": {"video"},
    "skimage": {"video"},
    "fastapi": {"serve"},
    "starlette": {"serve"},
    "uvicorn": {"serve"},
}


def test_there_are_sources() -> None:
    assert len(SOURCES) > 20


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src/dfer")))
def test_every_source_has_its_test(source: Path) -> None:
    relative = source.relative_to(ROOT / "src/dfer")
    test = ROOT / "tests" / relative.parent / f"test_{relative.name}"
    assert test.is_file(), f"{relative} has no {test.relative_to(ROOT)}"
    assert "def test_" in test.read_text()


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src/dfer")))
def test_no_file_is_long(source: Path) -> None:
    assert len(source.read_text().splitlines()) <= 400


@pytest.mark.parametrize("library", ROOMS_OF)
def test_a_library_stays_in_its_room(library: str) -> None:
    wanted = re.compile(rf"^\s*(import|from) {library}\b", re.MULTILINE)
    users = {path.relative_to(ROOT / "src/dfer").parts[0] for path in SOURCES if wanted.search(path.read_text())}
    assert users <= ROOMS_OF[library] | ({"cli.py"} if library == "lightning" else set())


def test_no_room_without_a_subject() -> None:
    names = {part.removesuffix(".py") for path in SOURCES for part in path.relative_to(ROOT / "src/dfer").parts}
    assert not names & {"util", "utils", "common", "core", "helper", "helpers", "misc"}


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("\ndependencies = [") : text.index("\n[project.optional-dependencies]")]
    lines = [line for line in block.splitlines() if line.strip().startswith('"')]
    assert len(lines) > 10
    assert not [line for line in lines if "  # " not in line]


def test_contributing_names_at_most_three_touch_points() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for what in ("a loss", "a module", "a backbone", "a data set", "a recipe"):
        section = re.search(rf"^### Add {what}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
        assert section, f"CONTRIBUTING.md does not say how to add {what}"
        points = re.findall(r"^\d\. .*", section[1], re.MULTILINE)
        assert 1 <= len(points) <= 3
        files = [name for point in points for name in re.findall(r"`((?:src|tests)/[^`<>]*)`", point)]
        assert files, f"no file named for {what}"
        assert not [name for name in files if not (ROOT / name).exists()], files
