"""From frames on disk to model pixels: which frames, what happens to them, how clips of a batch mix; and damage."""

from dfer.transforms.corrupt import CORRUPTIONS, FrameDrop, GaussianNoise, corruption
from dfer.transforms.mix import ClipMix
from dfer.transforms.presets import ClipTransform, EvalTransform, TrainTransform

__all__ = [
    "CORRUPTIONS",
    "ClipMix",
    "ClipTransform",
    "EvalTransform",
    "FrameDrop",
    "GaussianNoise",
    "TrainTransform",
    "corruption",
]
