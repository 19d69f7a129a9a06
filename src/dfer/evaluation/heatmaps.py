"""Which parts of a clip's frames speak for its class."""

from typing import Any

import numpy as np
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from dfer.errors import InputError
from dfer.modules.key_expression import sample_positions

SMALLEST = 6
"""The last stage whose map has so many cells on a side is shown; a 3x3 map of a small clip tells no place."""


def stages(model: nn.Module) -> dict[int, nn.Module]:
    """Find what gives out the features of each stage of a model's backbone: its plug-in, else the stage itself.

    Raises:
        InputError: no backbone with stages.

    Example:
        >>> from dfer.backbones import r3d_18
        >>> from dfer.models import Recognizer
        >>> list(stages(Recognizer(r3d_18(width=0.125))))
        [1, 2, 3, 4]
    """
    backbone: Any = getattr(model, "backbone", None)
    plugins: Any = getattr(backbone, "plugins", {})
    found = {}
    for stage in getattr(backbone, "stage_channels", {}):
        own = getattr(backbone, f"layer{stage}", None)
        if own is None and stage < len(getattr(backbone, "blocks", ())):
            own = backbone.blocks[stage]
        if isinstance(own, nn.Module):
            found[int(stage)] = plugins[str(stage)] if str(stage) in plugins else own  # noqa: SIM401
    if not found:
        raise InputError(
            f"{type(model).__name__} has no backbone with stages (layer1, blocks.1, ...) to take maps from"
        )
    return found


def grad_cam(model: nn.Module, clip: Tensor, label: int, stage: int | None = None) -> tuple[NDArray[np.float32], int]:
    """Map for each frame which places speak for a class.

    Paper: Selvaraju et al. 2017, "Grad-CAM", Eq. 1-2: each feature counts as much as the class's logit grows with it on
    average over the map (here over time as well); what speaks against the class is left out. The map is brought to the
    frames linearly in time and space, and divided by its largest value over all frames, so that frames of a clip can be
    compared, not clips. Of a model over windows, each frame shows the mean of the windows that see it. Of a model that
    samples the clip itself, maps lie where their frames were taken; before the first and behind the last there is none.

    Args:
        label: the class asked about: for a test clip its true one, whatever the model took it for.
        stage: of the backbone; the last whose map has at least 6 cells on a side unless given.

    Shape:
        clip ``(3, T, S, S)`` uint8 -> ``(T, S, S)`` in [0, 1]; and the stage.

    Raises:
        InputError: a model without a backbone with stages, or not this one.
    """
    layers = stages(model)
    model = model.cpu().eval()  # cuDNN's recurrent layers give no gradient in evaluation
    pixels = (clip.cpu().float() / 255)[None].requires_grad_()  # (1, 3, T, S, S)
    if stage is None:
        sides = _sides(model, pixels, layers)
        stage = max((one for one, side in sides.items() if side >= SMALLEST), default=min(layers))
    elif stage not in layers:
        raise InputError(f"stage {stage} of {type(model).__name__}; it has {', '.join(map(str, layers))}")
    cam = LayerGradCam(lambda x: model(x).logits, layers[stage])
    coarse = cam.attribute(pixels, target=label, relu_attributions=True).detach()  # (1 or N, 1, T', H', W')
    positions = positions_taken(model, pixels)
    if positions is None:
        window = getattr(model, "window", None)
        heat = _frames(coarse, clip.shape[1:], window, getattr(model, "stride", window))
    else:
        heat = _between(_frames(coarse, torch.Size([len(positions), *clip.shape[2:]]), None, None), positions, clip)
    return (heat / heat.max().clamp_min(torch.finfo(heat.dtype).tiny)).numpy(), stage


def _sides(model: nn.Module, pixels: Tensor, layers: dict[int, nn.Module]) -> dict[int, int]:
    """Measure the smaller side of each stage's map."""
    found: dict[int, int] = {}

    def measure(stage: int) -> torch.utils.hooks.RemovableHandle:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            found[stage] = min(output.shape[3:])

        return layers[stage].register_forward_hook(hook)

    hooks = [measure(stage) for stage in layers]
    try:
        with torch.no_grad():
            model(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def positions_taken(model: Any, pixels: Tensor) -> Tensor | None:
    """Tell where in a clip the frames lie that a model takes from it; None of a model that takes them all.

    Shape:
        ``(1, 3, T, S, S)`` -> ``(n,)`` in frames.
    """
    samples, frames = getattr(model, "samples", None), pixels.shape[2]
    if samples is None:
        return None
    if model.detector is None:
        return torch.arange(0, frames, frames // samples)  # (n,)
    with torch.no_grad():
        centre, stride, _ = model.locate(pixels)
    return sample_positions(centre, stride, samples, frames)[0]  # (n,)


def frames_taken(model: Any, clip: Tensor) -> NDArray[np.uint8] | None:
    """Show the frames that a model takes from a clip, the nearest ones; None of a model that takes them all.

    Shape:
        clip ``(T, C, S, S)`` uint8 -> ``(n, S, S, C)``.
    """
    at = positions_taken(model.cpu().eval(), clip.transpose(0, 1)[None])
    return None if at is None else clip[at.round().long()].permute(0, 2, 3, 1).numpy()


def _between(heat: Tensor, positions: Tensor, clip: Tensor) -> Tensor:
    """Bring maps of frames at ascending positions to all frames of a clip, ``(n, S, S) -> (T, S, S)``."""
    at, known = np.arange(clip.shape[1]), positions.numpy()
    shares = [np.interp(at, known, one, left=0, right=0) for one in np.eye(len(known))]  # n times (T,)
    return torch.einsum("nt,nhw->thw", torch.tensor(np.array(shares), dtype=heat.dtype), heat)


def _frames(coarse: Tensor, size: torch.Size, window: int | None, stride: int | None) -> Tensor:
    """Bring maps to all frames of a clip, ``-> (T, S, S)``."""
    frames = size[0]
    if window is None or stride is None:
        return F.interpolate(coarse, tuple(size), mode="trilinear", align_corners=False)[0, 0]
    fine = F.interpolate(coarse, (window, *size[1:]), mode="trilinear", align_corners=False)[:, 0]  # (N, window, S, S)
    total, seen = fine.new_zeros(size), fine.new_zeros(frames)
    for place, one in enumerate(fine):
        shown = slice(place * stride, place * stride + window)
        total[shown] += one
        seen[shown] += 1
    return total / seen.clamp_min(1).view(-1, 1, 1)
