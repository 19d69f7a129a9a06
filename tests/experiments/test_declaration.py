import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from dfer.errors import InputError
from dfer.experiments.declaration import grid_names, load_grid, options, parse_grid


def test_a_grid_is_read(content: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "my table.yaml"
    file.write_text(yaml.safe_dump({**content, "overrides": ["--x=1"], "folds": 5, "budgets": {"quick": {"y": 2}}}))
    grid = load_grid(file)
    assert grid.name == "my table"
    assert grid.folds == "5"
    assert grid.budgets == {"quick": ("--y=2",)}
    assert [row.name for row in grid.rows] == ["plain", "strong", "full", "theirs"]
    assert grid.rows[1].arguments == ("--x=1", "--skill=3.0")
    assert grid.rows[1].published == {"war": (73.42, 0.5)}
    assert (grid.rows[0].seeds, grid.rows[1].seeds, grid.seeds) == (3, None, 1)


def test_packaged_grids_are_found_by_name() -> None:
    assert "synthetic/dynamic" in grid_names()
    for name in grid_names():
        assert load_grid(name).name.removesuffix(".synthetic") == name.replace("/", "-")


def test_differences_default_to_the_first_metric(content: dict[str, Any]) -> None:
    del content["differences"]
    assert parse_grid(content, "g", where="f").differences == ("war",)


def test_options_keep_classes_and_text_whole() -> None:
    loss = {"class_path": "dfer.losses.CrossEntropy", "init_args": {"label_smoothing": 0.1}}
    assert options({"model": {"loss": loss, "name": "a b"}, "flag": None}, "f") == (
        '--model.loss={"class_path": "dfer.losses.CrossEntropy", "init_args": {"label_smoothing": 0.1}}',
        "--model.name=a b",
        "--flag=null",
    )


def change(content: dict[str, Any], path: str, value: Any) -> None:
    place: Any = content
    *parents, last = path.split("/")
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    key = int(last) if last.isdigit() else last
    if value is ...:
        del place[key]
    else:
        place[key] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("colums", ["war"], "unknown key 'colums'; did you mean columns"),
        ("rows/0/recipes", "x", r"row 1: unknown key 'recipes'; did you mean recipe"),
        ("columns", ["war", "acc"], "columns: 'acc' is none"),
        ("differences", ["gmac"], "differences: 'gmac' is none; known: war"),
        ("baseline", ..., "baseline '' is none of the rows"),
        ("baseline", "plane", "did you mean plain"),
        ("baseline", "theirs", "none of the rows that run"),
        ("rows/1/name", "plain", "two rows named 'plain'"),
        ("rows/1/name", ..., "row 2 has no name"),
        ("recipe", ..., r"row 1 \(plain\) has no recipe"),
        ("title", ..., "has no title"),
        ("rows", [], "declares no rows"),
        ("rows/0", "plain", "holds str, not a table"),
        ("rows/0/seeds", 0, "seeds is 0"),
        ("seeds", "three", "seeds is 'three'"),
        ("rows/0/published", {"wra": 1.0}, "published 'wra' is no metric; did you mean war"),
        ("rows/0/published", {"war": "68 %"}, "published war is '68 %'"),
        ("rows/3/overrides", {"a": 1}, "published_only"),
        ("budgets", {"tiny": {}}, "unknown key 'tiny'"),
    ],
)
def test_what_does_not_fit_is_refused(content: dict[str, Any], path: str, value: Any, message: str) -> None:
    content = copy.deepcopy(content)
    change(content, path, value)
    with pytest.raises(InputError, match=message) as refusal:
        parse_grid(content, "g", where="grid.yaml")
    assert "\n" not in str(refusal.value)


def test_an_unknown_grid_lists_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no grid 'synthetic/dinamic'.*did you mean synthetic/dynamic"):
        load_grid("synthetic/dinamic")


@pytest.mark.parametrize("text", ["a: [", "just words", b"\xff\xfe\x00"])
def test_a_file_that_is_no_grid_is_refused(tmp_path: Path, text: str | bytes) -> None:
    file = tmp_path / "grid.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputError, match=r"grid\.yaml"):
        load_grid(file)


def for_several(content: dict[str, Any]) -> dict[str, Any]:
    content["recipe"] = "{dataset}/safe"
    content["overrides"] = {"a": 1}
    content["budgets"] = {"small": {"b": 2}}
    content["datasets"] = {
        "synthetic": {"overrides": {"a": 3}, "budgets": {"small": {"b": 4}, "smoke": {"c": 5}}},
        "dfew": {"folds": 5},
    }
    return content


def test_one_grid_for_several_data_sets(content: dict[str, Any]) -> None:
    grid = parse_grid(for_several(content), "safe-3", where="f")
    assert {row.recipe for row in grid.rows if not row.published_only} == {"synthetic/safe"}
    assert grid.name == "safe-3.synthetic"
    assert grid.title == "A table, synthetic"
    assert grid.rows[0].arguments == ("--a=1", "--a=3")
    assert grid.budgets == {"small": ("--b=2", "--b=4"), "smoke": ("--c=5",)}
    assert grid.folds is None


def test_the_data_set_may_be_chosen(content: dict[str, Any]) -> None:
    grid = parse_grid(for_several(content), "safe-3", where="f", dataset="dfew")
    assert grid.rows[0].recipe == "dfew/safe"
    assert grid.rows[0].arguments == ("--a=1",)
    assert grid.folds == "5"


def test_reading_for_one_data_set_leaves_the_content_alone(content: dict[str, Any]) -> None:
    content["rows"][1]["recipe"] = "{dataset}/baseline"
    before = copy.deepcopy(content)
    for dataset in ("synthetic", "dfew"):
        assert parse_grid(content, "g", where="f", dataset=dataset).rows[1].recipe == f"{dataset}/baseline"
    assert content == before


def test_a_file_for_several_data_sets_is_read(content: dict[str, Any], tmp_path: Path) -> None:
    content["rows"][1]["overrides"] = {"a": 7}
    file = tmp_path / "several.yaml"
    file.write_text(yaml.safe_dump(for_several(content)))
    default, dfew = load_grid(file), load_grid(file, "dfew")
    assert (default.name, dfew.name) == ("several.synthetic", "several.dfew")
    assert (default.title, dfew.title) == ("A table, synthetic", "A table, dfew")
    assert default.rows[1].arguments == ("--a=1", "--a=3", "--a=7")  # general, the data set's, the row's
    assert (default.folds, dfew.folds) == (None, "5")


def test_a_row_may_have_a_recipe_for_several_data_sets(content: dict[str, Any]) -> None:
    content["rows"][1]["recipe"] = "{dataset}/baseline"
    grid = parse_grid(content, "g", where="f", dataset="ferv39k")
    assert [row.recipe for row in grid.rows[:2]] == ["base", "ferv39k/baseline"]


def test_a_row_may_have_settings_for_one_data_set(content: dict[str, Any]) -> None:
    content["rows"][1] |= {"overrides": {"a": 7}, "datasets": {"dfew": {"overrides": {"a": 8}}, "synthetic": {}}}
    before = copy.deepcopy(content)
    assert parse_grid(for_several(content), "g", where="f", dataset="dfew").rows[1].arguments[-2:] == ("--a=7", "--a=8")
    assert parse_grid(for_several(content), "g", where="f").rows[1].arguments[-2:] == ("--a=3", "--a=7")
    assert content["rows"] == before["rows"]


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (1, {"dfwe": {}}, "row 'strong', datasets: unknown key 'dfwe'; did you mean dfew"),
        (1, {"dfew": {"folds": 5}}, "row 'strong', datasets, dfew: unknown key 'folds'"),
        (1, 5, "row 'strong', datasets holds int"),
        (3, {"dfew": {}}, "published_only.*leave out datasets"),
    ],
)
def test_bad_settings_of_a_row_for_a_data_set_are_refused(
    where: int, value: Any, said: str, content: dict[str, Any]
) -> None:
    content["rows"][where]["datasets"] = value
    with pytest.raises(InputError, match=said):
        parse_grid(for_several(content), "g", where="f")


def test_settings_of_a_row_need_a_grid_for_several_data_sets(content: dict[str, Any]) -> None:
    content["rows"][1]["datasets"] = {"dfew": {}}
    with pytest.raises(InputError, match="one kind of data"):
        parse_grid(content, "g", where="f")


@pytest.mark.parametrize(
    ("change", "dataset", "said"),
    [
        ({}, "dfwe", "'dfwe'.*did you mean dfew"),
        ({"datasets": {"dfwe": {}}}, None, "'dfwe'.*did you mean dfew"),
        ({"datasets": {"dfew": {"rows": []}}}, "dfew", "unknown key 'rows'"),
        ({"datasets": {"dfew": {"rows": []}}}, None, "datasets, dfew: unknown key 'rows'"),
        ({"datasets": {"dfew": 5}}, None, "datasets, dfew holds int"),
        ({"title": None}, None, "has no title"),
        ({"rows": "plain"}, None, "declares no rows"),
        ({"recipe": "base"}, None, "has datasets, but no recipe"),
        ({"datasets": {"dfew": {"budgets": {"tiny": {}}}}}, "dfew", "unknown key 'tiny'"),
    ],
)
def test_a_bad_data_set_is_refused(
    change: dict[str, Any], dataset: str | None, said: str, content: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=said):
        parse_grid(for_several(content) | change, "g", where="f", dataset=dataset)


def test_a_grid_for_one_kind_of_data_takes_no_data_set(content: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="leave out --dataset dfew"):
        parse_grid(content, "g", where="f", dataset="dfew")
    content["rows"][0]["name"] = content["baseline"] = "on {dataset}"  # only a recipe asks for data
    assert parse_grid(content, "g", where="f").rows[0].name == "on {dataset}"


@pytest.mark.parametrize("key", ["recipe", "overrides", "seeds", "predictions", "baseline"])
def test_a_published_row_runs_nothing(key: str, content: dict[str, Any]) -> None:
    content["rows"][3][key] = "plain"
    with pytest.raises(InputError, match=rf"row 4 \(theirs\) is published_only.*leave out {key}"):
        parse_grid(content, "g", where="f")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"baseline": "plane"}, "baseline 'plane'.*did you mean plain"),
        ({"predictions": "test-gausian_noise-3"}, "gausian_noise.*did you mean gaussian_noise"),
        ({"predictions": "test-frame_drop-7"}, "severity 7"),
        ({"predictions": "test-noise"}, r"row 2 \(strong\): no corruption"),
        ({"predictions": "tset"}, r"row 2 \(strong\): no predictions 'tset'"),
        ({"baseline": "theirs"}, "row 'strong': baseline 'theirs' is none of the rows that run"),
    ],
)
def test_a_rows_own_baseline_and_predictions_must_be_there(
    row: dict[str, Any], said: str, content: dict[str, Any]
) -> None:
    content["rows"][1] |= row
    with pytest.raises(InputError, match=said):
        parse_grid(content, "g", where="f")
