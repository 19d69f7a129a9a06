from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from dfer.errors import ItemError
from dfer.video.mp4_boxes import check_boxes


@pytest.mark.parametrize("name", ["plain", "thousand_fps", "audio_only", "cover_art", "alpha", "rotated_90"])
def test_healthy_headers_pass(odd_video: Callable[[str], Path], name: str) -> None:
    check_boxes(BytesIO(odd_video(name).read_bytes()), name)
