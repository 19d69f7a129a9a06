"""Finding recipes."""

from pathlib import Path

import pytest

from dfer.errors import InputError
from dfer.training import recipe_names, recipe_path


def test_packaged_names() -> None:
    names = recipe_names()
    assert {"dfew/baseline", "ferv39k/baseline", "mafw/baseline", "folder/baseline", "csv/baseline"} <= set(names)
    assert all(recipe_path(name).is_file() for name in names)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("seed_everything: 1\n")
    assert recipe_path(str(path)) == path


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("dfew/basline", "did you mean dfew/baseline"),
        ("zzz", "there are .*synthetic/quickstart"),
        ("a.yaml", "not found"),
    ],
)
def test_unknown(name: str, wanted: str) -> None:
    with pytest.raises(InputError, match=wanted):
        recipe_path(name)
