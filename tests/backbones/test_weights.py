import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models.video import R3D_18_Weights

from dfer.backbones.weights import load_weights, read_state_dict, read_weights
from dfer.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def test_reads_both_formats_and_a_nested_state_dict(tmp_path: Path) -> None:
    state = nn.Linear(2, 3).state_dict()
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "a.pth")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "b.pth")
    torch.save({"model_state": state, "cfg": "text"}, tmp_path / "c.pyth")
    for name in ("a.safetensors", "a.pth", "b.pth", "c.pyth"):
        found = read_weights(str(tmp_path / name), R3D_18_Weights)
        assert torch.equal(found["weight"], state["weight"])


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploded",)


def test_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Bomb()}, tmp_path / "bomb.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Bomb()))
    for name in ("bomb.pth", "raw.pth"):
        with pytest.raises(InputError, match=f"{name} holds no plain weights"):
            read_state_dict(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(("name", "content"), [("a.pth", b""), ("a.pth", b"text"), ("a.safetensors", b"text")])
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="holds no plain weights") as caught:
        read_state_dict(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_something_else_than_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="no state dict but a list"):
        read_state_dict(tmp_path / "list.pth")


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'IMAGENET'.*KINETICS400_V1"):
        read_weights("IMAGENET", R3D_18_Weights)


def test_names_of_ones_own_are_fetched_from_their_urls(
    tmp_path: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state = nn.Linear(2, 3).state_dict()
    torch.save({"model_state": state}, tmp_path / "net.pyth")
    published = {"FACES": (tmp_path / "net.pyth").as_uri()}
    assert torch.equal(read_weights("FACES", published)["weight"], state["weight"])
    assert (cache / "net.pyth.sha256").is_file()
    with pytest.raises(InputError, match=r"'IMAGENET'.*no published name \(FACES\)"):
        read_weights("IMAGENET", published)


def test_no_network_gives_one_line(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(
        InputError, match=r"cannot fetch .*r3d_18.* \(Network is unreachable\).*give its path as weights"
    ):
        read_weights("KINETICS400_V1", R3D_18_Weights)


def test_foreign_weights_are_listed() -> None:
    module = nn.Linear(2, 3)
    state = {"weight": torch.ones(3, 2), "gamma": torch.ones(1), "fc.weight": torch.ones(1)}
    with pytest.raises(InputError, match="1 missing: bias; 1 unexpected: gamma;"):
        load_weights(module, state, "x.pth", dropped=("fc.",))
    many = {f"layer{i}": torch.ones(1) for i in range(9)} | module.state_dict()
    with pytest.raises(InputError, match=r"9 unexpected: layer0, layer1, layer2, \.\.\.;"):
        load_weights(module, many, "x.pth")


def test_a_run_of_ours_gives_its_backbone(tmp_path: Path) -> None:
    from dfer.backbones import r3d_18
    from dfer.models import HDF, Recognizer
    from dfer.models.checkpoint import save
    from dfer.runs import RunFolder

    backbone = {"class_path": "dfer.backbones.r3d_18", "init_args": {"width": 0.125}}
    config = {"class_path": "dfer.models.Recognizer", "init_args": {"backbone": backbone, "frames": 4, "size": 32}}
    model = Recognizer(r3d_18(width=0.125), frames=4, size=32)
    file = RunFolder(tmp_path).checkpoint()
    file.parent.mkdir()
    save(model, file, config=config, about={})
    for source in (tmp_path, file):
        loaded = r3d_18(weights=str(source), width=0.125).state_dict()
        assert all(torch.equal(value, loaded[name]) for name, value in model.backbone.state_dict().items())
    with_dam = HDF(backbone=r3d_18(width=0.125), frames=4, size=32)
    whole = {"class_path": "dfer.models.HDF", "init_args": config["init_args"]}
    save(with_dam, file, config=whole, about={})  # its plug-ins stay where they are
    loaded = r3d_18(weights=str(tmp_path), width=0.125).state_dict()
    assert all(torch.equal(value, with_dam.backbone.state_dict()[name]) for name, value in loaded.items())
    with pytest.raises(InputError, match="no such file or run"):
        r3d_18(weights=str(tmp_path / "elsewhere"))
    with pytest.raises(InputError, match="no such file or run"):
        r3d_18(weights=str(tmp_path / "checkpoints"))
