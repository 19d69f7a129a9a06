"""Raw pixels in and out of files, and the faces in them; no learning code.

- Clips: `probe`, `frame_count`, `read_frames` choose frames by index; `read_image` reads pictures.
- Whole videos: `open_stream` goes over the frames once, in bounded memory; `Limits` refuse the rest.
- Faces: `find_detector` gives a `FaceDetector`, `follow_faces` the tracked, aligned crops of a video.
- Out: `write_video`, and `write_timed_video` for frames with their times.
"""

from dfer.video.blaze_face import BlazeFace
from dfer.video.cascade import CascadeFaces
from dfer.video.crop import FaceGeometry, align
from dfer.video.decode import VideoInfo, frame_count, probe, read_frames
from dfer.video.detect import Box, Face, FaceDetector
from dfer.video.encode import write_timed_video, write_video
from dfer.video.find_detector import find_detector
from dfer.video.follow import FaceFrame, TrackedFace, follow_faces
from dfer.video.images import Frame, read_image
from dfer.video.stream import Limits, StreamInfo, VideoFrame, VideoStream, open_stream
from dfer.video.whole_frame import WholeFrame

__all__ = [
    "BlazeFace",
    "Box",
    "CascadeFaces",
    "Face",
    "FaceDetector",
    "FaceFrame",
    "FaceGeometry",
    "Frame",
    "Limits",
    "StreamInfo",
    "TrackedFace",
    "VideoFrame",
    "VideoInfo",
    "VideoStream",
    "WholeFrame",
    "align",
    "find_detector",
    "follow_faces",
    "frame_count",
    "open_stream",
    "probe",
    "read_frames",
    "read_image",
    "write_timed_video",
    "write_video",
]
