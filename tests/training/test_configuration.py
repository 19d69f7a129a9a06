"""From options to parts."""

import pytest
import torch

from dfer.errors import InputError
from dfer.models import Recognizer
from dfer.training.configuration import configure


def test_options_win_over_the_recipe() -> None:
    found = configure(["synthetic/quickstart", "--model.model.size", "32", "--seed_everything", "7"])
    assert isinstance(found.module.model, Recognizer)
    assert found.module.model.input_spec.size == 32
    assert found.seed == 7
    assert found.model_config["init_args"]["size"] == 32
    assert found.model_config["init_args"]["backbone"]["class_path"] == "dfer.backbones.r3d_18"
    assert found.recipe == "synthetic/quickstart"


def test_the_seed_decides_the_first_weights() -> None:
    a, b, c = (configure(["synthetic/quickstart", "--seed_everything", seed]).module for seed in ("1", "1", "2"))
    first, again, other = (torch.cat([p.flatten() for p in m.model.parameters()]) for m in (a, b, c))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_any_head_can_be_put_in() -> None:
    head = "--model.model.temporal", "dfer.modules.BiLSTM", "--model.model.temporal.input_size", "128"
    found = configure(["synthetic/quickstart", *head, "--model.model.window", "4", "--model.model.stride", "2"])
    assert found.module.model(torch.zeros(1, 3, 16, 48, 48, dtype=torch.uint8)).clip_logits.shape == (1, 7, 7)


@pytest.mark.parametrize("arguments", [[], ["synthetic/quickstart", "--trainer.maxepochs", "3"]])
def test_bad_words_are_refused(arguments: list[str]) -> None:
    with pytest.raises(InputError, match=r"no recipe given|trainer.max_epochs"):
        configure(arguments)


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--model.mix.ratio=1.5", "synthetic/safe: ratio 1.5 is a share; give 0 to 1"),
        ("--model.mix.block_size=0", "synthetic/safe: block_size 0 is no number of pixels; give 1 or more"),
        (
            "--model.loss.temperature=0",
            "synthetic/safe: temperature 0.0 is not positive and finite; the papers take 0.07",
        ),
        ("--model.model.window=17", "synthetic/safe: window 17 does not fit 16 frames; give 1 to 16"),
        ("--model.model.stride=0", "synthetic/safe: stride 0 does not move the window; give at least 1"),
    ],
)
def test_a_parts_own_refusal_is_the_whole_line(option: str, line: str) -> None:
    with pytest.raises(InputError) as caught:
        configure(["synthetic/safe", "--model.model.backbone.weights=none", option])
    assert str(caught.value) == line


def test_blocks_that_do_not_tile_are_refused_with_both_numbers() -> None:
    with pytest.raises(InputError, match="frames of 48 x 48 pixels are no multiple of block_size 10"):
        configure(["synthetic/safe", "--model.model.backbone.weights=none", "--model.mix.block_size=10"])


def test_a_word_where_a_data_set_takes_a_number_is_named_alone() -> None:
    options = ["--data.root", ".", "--data.dataset.fold", "1x"]
    with pytest.raises(InputError) as caught:
        configure(["dfew/baseline", "--model.model.backbone.weights=none", *options])
    assert str(caught.value) == "dfew/baseline: data.dataset.fold is '1x', which is no int; give one"
