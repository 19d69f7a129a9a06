"""Which frames of a clip, and what happens to their pixels."""

from dfer.transforms.presets import ClipTransform, EvalTransform, Frame, Sampling, TrainTransform

__all__ = ["ClipTransform", "EvalTransform", "Frame", "Sampling", "TrainTransform"]
