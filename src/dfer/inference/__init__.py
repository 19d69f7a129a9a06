"""From a raw video to a timeline of expressions.

from dfer.inference import Pipeline
timeline = Pipeline.load("runs/mine")("video.mp4")
print(timeline.to_csv())
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfer.inference.classifier import Classifier, load_classifier
    from dfer.inference.pipeline import Pipeline
    from dfer.inference.timeline import Boxes, FaceTimeline, Moment, Peak, Timeline

__all__ = [
    "Boxes",
    "Classifier",
    "FaceTimeline",
    "Moment",
    "Peak",
    "Pipeline",
    "Timeline",
    "load_classifier",
]

_ROOMS = {"Classifier": "classifier", "load_classifier": "classifier", "Pipeline": "pipeline"}


def __getattr__(name: str) -> Any:
    # What needs torch is imported when it is asked for, so that a command's help stays quick.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS.get(name, 'timeline')}"), name)
