"""Raw pixels in and out of files; no learning code."""

from dfer.video.decode import VideoInfo, frame_count, probe, read_frames
from dfer.video.encode import write_video
from dfer.video.images import read_image

__all__ = ["VideoInfo", "frame_count", "probe", "read_frames", "read_image", "write_video"]
