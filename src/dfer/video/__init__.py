"""Raw pixels in and out of files, and the faces in them; no learning code."""

from dfer.video.blaze_face import BlazeFace
from dfer.video.cascade import CascadeFaces
from dfer.video.decode import VideoInfo, frame_count, probe, read_frames
from dfer.video.detect import Box, Face, FaceDetector
from dfer.video.encode import write_video
from dfer.video.find_detector import find_detector
from dfer.video.images import read_image
from dfer.video.whole_frame import WholeFrame

__all__ = [
    "BlazeFace",
    "Box",
    "CascadeFaces",
    "Face",
    "FaceDetector",
    "VideoInfo",
    "WholeFrame",
    "find_detector",
    "frame_count",
    "probe",
    "read_frames",
    "read_image",
    "write_video",
]
