"""Small videos whose frames tell their number."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

COUNT, STEP = 40, 6


def film(count: int = COUNT) -> list[np.ndarray]:
    """Noise, so that frames take bytes; the mean tells the number."""
    rng = np.random.default_rng(0)
    return [(STEP * i + rng.integers(0, 16, (64, 96, 3))).clip(0, 255).astype(np.uint8) for i in range(count)]


@pytest.fixture(scope="session")
def frames() -> list[np.ndarray]:
    return film()


@pytest.fixture(scope="session")
def number() -> Callable[[np.ndarray], int]:
    """Tell a frame's number."""
    return lambda frame: round((float(frame.mean()) - 7.5) / STEP)


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write the film with any codec and container, a key frame every ten frames."""

    def write(suffix: str, codec: str = "libx264", pixels: str = "yuv420p", options: dict | None = None) -> Path:
        path = tmp_path_factory.mktemp("video") / f"film.{suffix}"
        with av.open(str(path), "w", options=options or {}) as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, pixels
            stream.codec_context.gop_size = 10
            stream.bit_rate = 8_000_000
            for frame in film():
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def mp4(video: Callable[..., Path]) -> bytes:
    """The film as mp4, its table of contents first, so that a cut leaves it readable."""
    return video("mp4", options={"movflags": "faststart"}).read_bytes()
