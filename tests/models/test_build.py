import pytest
import torch
from jsonargparse import ArgumentParser
from torch import nn

from dfer.backbones import BACKBONES
from dfer.errors import InputError
from dfer.models import Recognizer
from dfer.models.build import accepts, build, resolve

YAML = """
model:
  class_path: dfer.models.Recognizer
  init_args:
    backbone:
      class_path: dfer.backbones.r3d_18
      init_args:
        width: 0.25
        plugins:
          2: {class_path: dfer.modules.BiLSTM, init_args: {input_size: 8}}
    temporal:
      class_path: dfer.modules.BiLSTM
      init_args: {input_size: 128, hidden_size: 32}
    labels: [a, b]
    num_classes: 2
    window: 4
"""


SAFE_YAML = """
model:
  class_path: dfer.models.SAFE
  init_args:
    size: 32
    backbone: {class_path: dfer.backbones.r3d_18, init_args: {width: 0.125}}
    temporal: {class_path: dfer.modules.S2AM2, init_args: {hidden_size: 8}}
"""


def test_jsonargparse_and_we_build_the_same_from_yaml() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=nn.Module)
    config = parser.parse_string(YAML)
    theirs = parser.instantiate(config).model
    ours = build(config.model.as_dict())
    assert isinstance(theirs, Recognizer)
    assert str(ours) == str(theirs)
    assert ours.input_spec == theirs.input_spec
    assert "plugins.2.lstm.weight_ih_l0" in ours.backbone.state_dict()  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("name", BACKBONES)
def test_builders_resolve_by_both_paths(name: str) -> None:
    builder = BACKBONES[name]
    assert resolve(f"dfer.backbones.{name}") is resolve(f"{builder.__module__}.{name}") is builder


@pytest.mark.parametrize(
    "class_path",
    [
        "os.system",
        "subprocess.Popen",
        "torch.nn.Linear",
        "dfer.runs.write_atomically",
        "dfer.models.checkpoint.os.system",
        "dfer.models.checkpoint.torch.load",
        "dfer.models.cost",
        "dfer.models.Cost",
        "dfer.models.nn.Linear",
        "dfer.backbones.BACKBONES",
        "dfer.backbones.weights.download",
        "dfer.modelsx.Recognizer",
        "dfer.models.other.Recognizer",
        "dfer",
        "dfer.models",
        "dfer.models.",
        "",
        None,
        7,
        ["os.system"],
    ],
)
def test_nothing_else_is_built(class_path: object) -> None:
    evil = {"class_path": class_path, "init_args": {"command": "touch exploded"}}
    with pytest.raises(InputError, match="nothing else is built"):
        build(evil)
    with pytest.raises(InputError, match="nothing else is built"):
        build({"class_path": "dfer.models.Recognizer", "init_args": {"backbone": evil}})
    with pytest.raises(InputError, match="nothing else is built"):
        build({"class_path": "dfer.backbones.r3d_18", "init_args": {"width": 0.25, "plugins": {"4": evil}}})


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InputError, match="unexpected keyword argument 'depth'"):
        build({"class_path": "dfer.backbones.r3d_18", "init_args": {"depth": 3}})


def test_weights_are_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*args: object) -> None:
        raise AssertionError("fetched")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    with torch.device("meta"):
        build({"class_path": "dfer.backbones.r3d_18", "init_args": {"weights": "KINETICS400_V1"}})


def test_accepts_reads_the_signature() -> None:
    assert accepts(Recognizer, "labels")
    assert not accepts(Recognizer, "weights")


def test_a_part_that_lacks_an_argument_is_handed_over_as_a_function() -> None:
    temporal = {"class_path": "dfer.modules.S2AM2", "init_args": {"hidden_size": 8}}
    backbone = {"class_path": "dfer.backbones.r3d_18", "init_args": {"width": 0.125}}
    arguments = {"backbone": backbone, "temporal": temporal, "size": 32}
    model = build({"class_path": "dfer.models.SAFE", "init_args": arguments})
    assert model.temporal.input_size == 64  # the width that SAFE asked it for
    assert model.temporal.hidden_size == 8


@pytest.mark.parametrize("path", ["os.system", "torch.nn.LSTM", "dfer.modules.s2am2.draw_weights"])
def test_no_function_of_anything_else(path: str) -> None:
    foreign = {"class_path": path, "init_args": {}}
    within = {"class_path": "dfer.modules.S2AM2", "init_args": {"hidden_size": foreign}}
    for temporal in (foreign, within):
        with pytest.raises(InputError, match="nothing else is built"):
            build({"class_path": "dfer.models.SAFE", "init_args": {"temporal": temporal, "size": 32}})


@pytest.mark.parametrize(
    ("init_args", "said"),
    [({"hidden": 8}, "unexpected keyword argument 'hidden'"), ({"input_size": 64, "hidden_size": 8}, "S2AM2 already")],
)
def test_a_functions_wrong_arguments_are_named(init_args: dict[str, int], said: str) -> None:
    temporal = {"class_path": "dfer.modules.S2AM2", "init_args": init_args}
    with pytest.raises(InputError, match=f"dfer.models.SAFE cannot be built from its init_args: .*{said}"):
        build({"class_path": "dfer.models.SAFE", "init_args": {"temporal": temporal, "size": 32}})


def test_jsonargparse_and_we_build_the_same_safe() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=nn.Module)
    config = parser.parse_string(SAFE_YAML)
    assert str(build(config.model.as_dict())) == str(parser.instantiate(config).model)


@pytest.mark.parametrize("place", ["temporal", "backbone"])
def test_a_part_that_lacks_an_argument_where_a_module_is_wanted_is_refused(place: str) -> None:
    backbone = {"class_path": "dfer.backbones.r3d_18", "init_args": {"width": 0.125}}
    unfinished = {"class_path": "dfer.modules.S2AM2", "init_args": {"hidden_size": 8}}
    arguments = {"backbone": backbone, "size": 32, place: unfinished}
    with pytest.raises(InputError, match="cannot be built"):
        build({"class_path": "dfer.models.Recognizer", "init_args": arguments})
