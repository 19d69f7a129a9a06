"""What makes a set of drawn clips easy or hard: every knob, and the two named settings."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

BALANCED: Final = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
DFEW_COUNTS: Final = (2445.0, 1894.0, 2669.0, 2173.0, 1469.0, 145.0, 902.0)
"""Single-labelled clips per class of DFEW, in the order of ``labels.BASIC``."""

GENERATOR_VERSION: Final = 2
"""Raised whenever the same arguments would draw other pixels: cached clips of another version are not used."""

Preset = Literal["easy", "wild"]
Split = Literal["train", "test"]
Noise = Literal["symmetric", "confusion"]


@dataclass(frozen=True)
class Knobs:
    """How clips are drawn; ranges are uniform, probabilities per clip.

    Args:
        clips: clips in the training and the test split.
        clips_per_identity: faces are drawn anew about every so many clips; no face is in both splits.
        frames: shortest and longest clip.
        proportions: of the true classes, in any unit.
        intensity: of the key expression's action units at its peak; 1 is as strong as a face can.
        key_width: how much of the clip the key expression takes (full width at half of its peak).
        asymmetry: largest relative difference between the halves of a face.
        label_noise: share of training labels that are wrong.
        test_noise: share of test labels that are wrong.
        noise: wrong labels of any other class, or of one that people confuse with the true one.
        distractors: probability of a weaker expression of another class before or after the key one.
        occlusion: probability of a hand, dark glasses or a strand of hair in front of the face.
        styles: number of sources (light, colour cast, blur, noise, JPEG, resolution) seen in both splits.
        test_styles: number of sources that occur in the test split alone.
        style_strength: how far sources differ from a clean picture, 0 to 1.
        head_pose: typical yaw in degrees; pitch and roll follow.
        camera_shake: typical shift of the picture, as a fraction of its side.
        speech: strength of mouth movements that mean nothing.
    """

    clips: tuple[int, int]
    clips_per_identity: int
    frames: tuple[int, int]
    proportions: tuple[float, ...]
    intensity: tuple[float, float]
    key_width: tuple[float, float]
    asymmetry: float
    label_noise: float
    test_noise: float
    noise: Noise
    distractors: float
    occlusion: float
    styles: int
    test_styles: int
    style_strength: float
    head_pose: float
    camera_shake: float
    speech: float

    def __post_init__(self) -> None:
        for name in ("label_noise", "test_noise", "distractors", "occlusion", "style_strength", "speech"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie in [0, 1], not {value}")
        for name in ("intensity", "key_width"):
            low, high = getattr(self, name)
            if not 0 < low <= high <= 1:
                raise ValueError(f"{name} must be a range within (0, 1], not {(low, high)}")
        if not 1 <= self.frames[0] <= self.frames[1]:
            raise ValueError(f"frames must be a range of counts from 1, not {self.frames}")
        if len(self.proportions) != 7 or min(self.proportions) < 0 or sum(self.proportions) <= 0:
            raise ValueError(f"proportions must be seven numbers, none negative, not {self.proportions}")
        for name in ("asymmetry", "head_pose", "camera_shake", "test_styles"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        if min(self.clips) < 1 or self.clips_per_identity < 1 or self.styles < 1:
            raise ValueError(
                f"clips, clips_per_identity and styles must be at least 1, not "
                f"{self.clips}, {self.clips_per_identity}, {self.styles}"
            )
        if self.noise not in ("symmetric", "confusion"):
            raise ValueError(f"noise must be 'symmetric' or 'confusion', not {self.noise!r}")


EASY: Final = Knobs(
    clips=(800, 400),
    clips_per_identity=3,
    frames=(24, 24),
    proportions=BALANCED,
    intensity=(0.85, 1.0),
    key_width=(0.35, 0.6),
    asymmetry=0.1,
    label_noise=0.0,
    test_noise=0.0,
    noise="confusion",
    distractors=0.0,
    occlusion=0.0,
    styles=4,
    test_styles=0,
    style_strength=0.2,
    head_pose=5.0,
    camera_shake=0.008,
    speech=0.1,
)
"""Balanced, clean, strong: what a small model learns in minutes."""

WILD: Final = Knobs(
    clips=(2000, 1000),
    clips_per_identity=7,
    frames=(20, 48),
    proportions=DFEW_COUNTS,
    intensity=(0.35, 0.95),
    key_width=(0.25, 0.5),
    asymmetry=0.35,
    label_noise=0.1,
    test_noise=0.0,
    noise="confusion",
    distractors=0.4,
    occlusion=0.3,
    styles=8,
    test_styles=4,
    style_strength=1.0,
    head_pose=14.0,
    camera_shake=0.02,
    speech=0.35,
)
"""DFEW's proportions, 10 % label noise, distractors, style shift, occlusion."""

PRESETS: Final = MappingProxyType({"easy": EASY, "wild": WILD})
