"""Frames to a video file."""

import os
import tempfile
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av

from dfer.errors import InputError
from dfer.video.images import Frame


def write_video(path: Path, frames: Iterable[Frame], fps: float = 25.0) -> None:
    """Write H.264 in an mp4 file, whole or not at all.

    Args:
        frames: ``(H, W, 3)`` RGB uint8, all of one size, both sides even (as the codec asks).

    Raises:
        ValueError: no frame, or frames of odd or different sizes.
        InputError: the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".mp4")
        os.close(handle)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; free or choose another folder") from error
    try:
        _encode(name, frames, fps)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; free or choose another folder") from error
    finally:
        Path(name).unlink(missing_ok=True)


def _encode(name: str, frames: Iterable[Frame], fps: float) -> None:
    shape: tuple[int, ...] | None = None
    with av.open(f"file:{name}", "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "18", "preset": "veryfast", "threads": "1"}
        for frame in frames:
            if shape is None:
                shape = frame.shape
                if len(shape) != 3 or shape[0] % 2 or shape[1] % 2:
                    raise ValueError(f"a frame must be (even height, even width, 3), got {shape}")
                stream.height, stream.width = shape[:2]
            if frame.shape != shape:
                raise ValueError(f"frames must have one size, got {frame.shape} after {shape}")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        if shape is None:
            raise ValueError("a video needs at least one frame, got none")
        container.mux(stream.encode(None))
