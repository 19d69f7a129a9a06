import pytest

from dfer.errors import InputError
from dfer.experiments.budget import BUDGETS, applied, budget_named, has

CONFIG = {
    "model": {"model": {"class_path": "M", "init_args": {"size": 112, "backbone": {"init_args": {"width": 1.0}}}}},
    "data": {"dataset": {"class_path": "SyntheticFaces", "init_args": {"clips": 1}}},
    "trainer": {"max_epochs": 100},
}


def test_small_is_what_the_design_says() -> None:
    settings = BUDGETS["small"].settings
    assert settings["data.dataset.clips"] == 800
    assert settings["model.model.size"] == 48
    assert settings["model.model.backbone.width"] == 0.25
    assert settings["trainer.max_epochs"] == 10
    assert not BUDGETS["paper"].settings


def test_settings_that_a_recipe_lacks_are_named() -> None:
    given, missing = applied(BUDGETS["smoke"], CONFIG)
    assert "--trainer.max_epochs=1" in given
    assert "--model.model.backbone.width=0.125" in given
    assert missing == ("model.warmup_epochs",)


def test_init_args_go_without_saying() -> None:
    assert has(CONFIG, "model.model.init_args.size")
    assert has(CONFIG, "model.model.size")
    assert not has(CONFIG, "model.model.size.x")


def test_an_unknown_budget_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean small"):
        budget_named("smal")
