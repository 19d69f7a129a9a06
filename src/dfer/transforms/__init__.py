"""From frames on disk to model pixels: which frames, what happens to them, how clips of a batch mix."""

from dfer.transforms.mix import ClipMix
from dfer.transforms.presets import ClipTransform, EvalTransform, TrainTransform

__all__ = ["ClipMix", "ClipTransform", "EvalTransform", "TrainTransform"]
