"""Every recipe steps: batch of two, small, without weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dfer.backbones.x3d import X3D
from dfer.models import RDFER
from dfer.training import recipe_names, recipe_path
from dfer.training.fit import build

RECIPES = recipe_names()


def test_there_are_recipes() -> None:
    assert len(RECIPES) >= 7


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_steps(recipe: str, drawn_tree: Callable[[str], Path]) -> None:
    layout = recipe.split("/")[0]
    options = ["--model.model.size", "32", "--data.batch_size", "2", "--data.workers", "0"]
    if layout == "synthetic":
        options += ["--data.dataset.clips", "28", "--data.dataset.cache", "false"]
        options += ["--model.model.backbone.weights", "none"]
    else:
        source = drawn_tree(layout.replace("_", "-"))
        source = next(source.glob("*.csv")) if layout == "csv" else source
        options += ["--data.root", str(source), "--model.model.backbone.weights", "none"]
        options += ["--model.model.backbone.width", "0.125"]
    module, data = build([recipe, *options])
    data.open(module.model.input_spec, seed=0)
    module.bind(data.train_set)
    batch = next(iter(data.train_dataloader()))
    optimizer = module.optimizer(module.model.parameters())
    before = [p.detach().clone() for p in module.model.parameters()]

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = module.loss(module(batch.clip), batch)
        loss.backward()
        return loss

    # In the first step X3D's blocks still pass their input on, and RDFER's detector gives the same whatever it sees.
    steps = 2 if isinstance(module.model.backbone, X3D) or isinstance(module.model, RDFER) else 1
    for _ in range(steps):
        loss = optimizer.step(closure)
        assert torch.isfinite(loss)
    changed = [not torch.equal(a, b) for a, b in zip(before, module.model.parameters())]
    assert sum(changed) > 0.9 * len(changed)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_says_its_command_the_papers_number_ours_and_the_hardware(recipe: str) -> None:
    lines = recipe_path(recipe).read_text().splitlines()[:4]
    assert lines[0].startswith(f"# dfer train {recipe}")
    assert [line.split(":")[0] for line in lines[1:]] == ["# Paper", "# Ours", "# Hardware"]
