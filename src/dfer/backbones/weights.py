"""Weights trained by others: by their name, from a URL or a file, checked before they are used, never unpickled."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from dfer.download import download
from dfer.errors import InputError
from dfer.runs import RunFolder

BACKBONE = "backbone."  # what a whole model calls it


def read_weights(weights: str, published: type[WeightsEnum] | Mapping[str, str]) -> dict[str, Tensor]:
    """Read a state dict by its published name, from a URL, or from a file.

    Args:
        weights: a name in ``published`` (``KINETICS400_V1``), a URL (``...#sha256=DIGEST`` to check it), the path
            of a ``.safetensors`` or ``.pth`` file, or a run folder of ours. Of a whole model its backbone is taken,
            without plug-ins.
        published: torchvision's weights of this model, or URLs by name.

    Raises:
        InputError: unknown name, no such file, no network, wrong digest, or no state dict in it.
    """
    urls = (
        published if isinstance(published, Mapping) else {name: one.url for name, one in published.__members__.items()}
    )
    if weights in urls:
        return read_state_dict(download(urls[weights]))
    if weights.startswith(("https://", "http://", "file://")):
        url, _, digest = weights.partition("#sha256=")
        return read_state_dict(download(url, digest or None))
    path = RunFolder(Path(weights)).checkpoint() if Path(weights).is_dir() else Path(weights)
    if not path.is_file():
        names = ", ".join(urls)
        raise InputError(
            f"weights {weights!r}: no such file or run (`dfer train RECIPE --out {weights}` makes one), and no "
            f"published name ({names}); null starts fresh"
        )
    state = read_state_dict(path)
    of_backbone = {
        name.removeprefix(BACKBONE): value
        for name, value in state.items()
        if name.startswith(BACKBONE) and not name.startswith(f"{BACKBONE}plugins.")
    }
    return of_backbone or state


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read tensors by name from a ``.safetensors`` file or a torch file, without running code from it.

    Raises:
        InputError: unreadable, or anything but tensors in it.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        with warnings.catch_warnings(action="ignore"):  # torch's second line about a file that it refuses anyway
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises whatever a damaged file leads it to
        reason = str(error).splitlines()[0].split(". ")[0] if str(error) else type(error).__name__  # no advice
        raise InputError(f"{path} holds no plain weights ({reason}); save a state dict there") from error
    for nest in ("state_dict", "model_state"):  # pytorchvideo's files have the latter
        if isinstance(state, Mapping) and isinstance(state.get(nest), Mapping):
            state = state[nest]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} holds no state dict but a {type(state).__name__}; save model.state_dict() there")
    return {str(name): value for name, value in state.items()}


def load_weights(module: nn.Module, state: Mapping[str, Tensor], source: str, *, dropped: tuple[str, ...] = ()) -> None:
    """Load every weight or none; entries that start with ``dropped`` (another task's classifier) are left out.

    Raises:
        InputError: weights missing, too many, or of another shape.
    """
    state = {name: value for name, value in state.items() if not name.startswith(dropped or ("\0",))}
    own = module.state_dict()
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    if missing or unexpected:
        listed = "; ".join(
            f"{len(names)} {what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
            for what, names in (("missing", missing), ("unexpected", unexpected))
            if names
        )
        raise InputError(f"weights {source} are not this backbone's: {listed}; give the weights of this very model")
    for name, value in own.items():
        if value.shape != state[name].shape:
            found, wanted = tuple(state[name].shape), tuple(value.shape)
            raise InputError(
                f"weights {source} are of another width: {name} is {found}, wanted {wanted}; match `width` "
                "and the number of classes"
            )
    module.load_state_dict(state)
