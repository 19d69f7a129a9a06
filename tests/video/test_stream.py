import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from dfer.errors import ItemError
from dfer.video.decode import frame_count, read_frames
from dfer.video.stream import Limits, VideoFrame, open_stream


def taken(path: Path, *options: object, **more: object) -> tuple[list[VideoFrame], str]:
    with open_stream(path, *options, **more) as stream:
        return list(stream), stream.damage


def test_every_odd_video(odd_case: NamedTuple, capfd: pytest.CaptureFixture[str]) -> None:
    """Each gives its frames, or one line with its path."""
    _, path, refused, damage = odd_case
    if refused:
        with pytest.raises(ItemError, match=refused) as caught:
            taken(path)
        assert "\n" not in str(caught.value)
        assert str(path).splitlines()[0] in str(caught.value)
    else:
        frames, found = taken(path)
        assert frames
        assert re.search(damage, found) if damage else not found, found
        seconds = np.array([frame.seconds for frame in frames])
        assert (np.diff(seconds) > 0).all()
        assert seconds[0] == 0
        assert (np.diff([frame.index for frame in frames]) > 0).all()
        assert all(frame.pixels.dtype == np.uint8 and frame.pixels.flags.c_contiguous for frame in frames)
    assert capfd.readouterr() == ("", "")
