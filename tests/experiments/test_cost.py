"""``dfer cost`` as a user sees it."""

import json

import pytest

from dfer.cli import main
from dfer.experiments.cost import cost
from dfer.training import recipe_path


@pytest.mark.parametrize(
    ("name", "gmac"),
    [("r3d_18", 40.7), ("mc3_18", 43.4), ("r2plus1d_18", 40.6), ("former_dfer", 8.3), ("resnet18_lstm", 7.9)],
)
def test_backbone(name: str, gmac: float, capsys: pytest.CaptureFixture[str]) -> None:
    assert cost(name, json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["gmac"] == pytest.approx(gmac, abs=0.1)
    assert found["published_gmac"] != found["gmac"]
    assert found["frames"] == 16
    assert found["size"] == 112


def test_what_no_paper_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert cost("resnet18", json=True) == 0
    assert json.loads(capsys.readouterr().out)["published_gmac"] is None


def test_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert cost("synthetic/quickstart", "--model.model.size", "32") == 0
    assert "32x32" in capsys.readouterr().out


def test_a_recipe_is_counted_without_its_weights_beside_the_published_figure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cost("dfew/safe", json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["gmac"] == pytest.approx(64.6, abs=0.05)
    assert found["published_gmac"] == 2.94
    assert cost("dfew/safe", "--model.model.size", "64", json=True) == 0
    assert json.loads(capsys.readouterr().out)["published_gmac"] is None


@pytest.mark.parametrize("dataset", ["dfew", "ferv39k"])
def test_safe_on_x3d_costs_what_the_paper_prints_for_another(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cost(f"{dataset}/safe_x3d", json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["size"]) == (16, 112)
    assert found["gmac"] < 3
    assert f"{found['gmac']:.2f} GMAC" in recipe_path(f"{dataset}/safe_x3d").read_text().splitlines()[2]


def test_unknown_name_lists_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "dfew/basline"]) == 2
    assert "dfew/baseline" in capsys.readouterr().err
