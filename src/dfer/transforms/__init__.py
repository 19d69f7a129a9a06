"""From frames on disk to model pixels: which frames, and what happens to them."""

from dfer.transforms.presets import ClipTransform, EvalTransform, TrainTransform

__all__ = ["ClipTransform", "EvalTransform", "TrainTransform"]
