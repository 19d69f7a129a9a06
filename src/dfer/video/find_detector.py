"""Face detectors by their names."""

import logging
from pathlib import Path
from typing import Literal

from dfer.errors import InputError
from dfer.video.blaze_face import BlazeFace
from dfer.video.cascade import CascadeFaces
from dfer.video.detect import FaceDetector
from dfer.video.whole_frame import WholeFrame

log = logging.getLogger("dfer")


def find_detector(
    name: Literal["auto", "blaze_face", "cascade", "whole_frame"] = "auto", model: Path | None = None
) -> FaceDetector:
    """Make the face detector of a name.

    Args:
        name: ``auto`` is BlazeFace; where it cannot run, the cascade, and a warning.
        model: a BlazeFace ``.tflite`` file; None fetches MediaPipe's, once.

    Raises:
        InputError: unknown name, or a detector that cannot run here.
    """
    if name not in ("auto", "blaze_face", "cascade", "whole_frame"):
        raise InputError(f"no face detector {name!r}; auto, blaze_face, cascade and whole_frame are there")
    if model is not None and name in ("cascade", "whole_frame"):
        raise InputError(f"the detector {name} takes no model, but {model} is given; --detector blaze_face does")
    if name == "whole_frame":
        return WholeFrame()
    if name == "cascade":
        return CascadeFaces()
    if name == "blaze_face" or model is not None:
        return BlazeFace(model)
    try:
        return BlazeFace()
    except InputError as error:
        log.warning("faces are found by the cascade, slower and less surely: %s", error)
        return CascadeFaces()
