"""Damage to clips: how much, how steady, always the same."""

import subprocess
import sys
from hashlib import sha256

import pytest
import torch
from torch import Tensor

from dfer.transforms.corrupt import CORRUPTIONS, DROPPED_SHARE, NOISE_SIGMA, FrameDrop, GaussianNoise, corruption


def grey(frames: int = 16, size: int = 64) -> Tensor:
    return torch.full((frames, 3, size, size), 128, dtype=torch.uint8)


def counted(frames: int) -> Tensor:
    return torch.arange(frames, dtype=torch.uint8).view(frames, 1, 1, 1).expand(frames, 3, 4, 4).contiguous()


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_noise_has_the_sigma_it_says_in_every_frame_and_channel(severity: int) -> None:
    noise = GaussianNoise(severity)(grey(), "a").float() - 128
    sigma = 255 * NOISE_SIGMA[severity - 1]
    clipped = min(1.0, 1.03 if severity < 4 else 0.98)  # the tails end at 0 and 255
    assert (noise.std(dim=(2, 3)) / (sigma * clipped) - 1).abs().max() < 0.12
    assert abs(noise.mean()) < 0.3
    flat = noise.flatten(2).permute(0, 1, 2).reshape(48, -1)
    between = torch.corrcoef(flat) - torch.eye(48)
    assert between.abs().max() < 0.1  # drawn anew for each frame and channel


def test_the_papers_table_uses_severity_three() -> None:
    assert NOISE_SIGMA[2] == 0.10
    assert DROPPED_SHARE[2] == 0.25
    assert GaussianNoise().severity == FrameDrop().severity == 3


@pytest.mark.parametrize("frames", [1, 2, 3, 16, 64])
@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_dropped_frames_repeat_the_last_kept_one(frames: int, severity: int) -> None:
    seen = FrameDrop(severity)(counted(frames), "b")[:, 0, 0, 0].tolist()
    kept = [t for t, source in enumerate(seen) if source == t]
    assert seen[0] == 0
    assert len(seen) - len(kept) == min(round(DROPPED_SHARE[severity - 1] * frames), frames - 1)
    assert seen == [max(k for k in kept if k <= t) for t in range(frames)]


def test_every_frame_but_the_first_is_as_likely_to_be_dropped() -> None:
    dropped = torch.zeros(9)
    for number in range(2000):
        dropped += FrameDrop(4)(counted(9), f"clip {number}")[:, 0, 0, 0] != torch.arange(9)
    assert dropped[0] == 0
    assert (dropped[1:] / 2000 - 3 / 8).abs().max() < 0.05


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_damage_grows_with_severity_and_leaves_the_clip_alone(name: str) -> None:
    clip = torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before = clip.clone()
    damage = []
    for severity in range(1, 6):
        many = [corruption(name, severity)(clip, f"clip {number}") for number in range(20)]
        assert all(damaged.shape == clip.shape and damaged.dtype == torch.uint8 for damaged in many)
        damage.append(sum((damaged.float() - clip.float()).square().mean().item() for damaged in many))
    assert damage == sorted(damage)
    assert damage[0] > 0
    assert torch.equal(clip, before)


def digest(name: str) -> str:
    clip = corruption(name, 3)(torch.arange(48, dtype=torch.uint8).view(16, 3, 1, 1), "film/7")
    return sha256(clip.numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_another_process_does_the_same_damage(name: str) -> None:
    code = (
        "import torch; from hashlib import sha256; from dfer.transforms.corrupt import corruption;"
        f"clip = corruption({name!r}, 3)(torch.arange(48, dtype=torch.uint8).view(16, 3, 1, 1), 'film/7');"
        "print(sha256(clip.numpy().tobytes()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(name)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_clip_and_severity_change_the_draw(name: str) -> None:
    clip = torch.randint(0, 256, (64, 3, 2, 2), dtype=torch.uint8)
    one = corruption(name, 3)(clip, "a")
    assert torch.equal(one, corruption(name, 3)(clip, "a"))
    assert not torch.equal(one, corruption(name, 3)(clip, "b"))
    assert not torch.equal(one, corruption(name, 2)(clip, "a"))


@pytest.mark.parametrize("severity", [0, 6, -1, 2.5, 3.0, True, "x"])
def test_a_severity_that_there_is_not_is_refused(severity: int) -> None:
    with pytest.raises(ValueError, match=f"severity {severity} is none of"):
        corruption("frame_drop", severity)


def test_an_unknown_corruption_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="'frame_drap'; did you mean frame_drop"):
        corruption("frame_drap")
