import struct
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from dfer.errors import ItemError
from dfer.video import mp4_boxes
from dfer.video.mp4_boxes import MOST_ENTRIES, check_boxes


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def long_box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4sQ", 1, kind, 16 + len(body)) + body


def samples(count: int, size: int = 1) -> bytes:
    return box(b"stsz", struct.pack(">III", 0, size, count))


def nested(*inner: bytes) -> bytes:
    return box(b"moov", box(b"mvhd", bytes(100)), box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", *inner)))))


@pytest.mark.parametrize("name", ["plain", "thousand_fps", "audio_only", "cover_art", "alpha", "rotated_90", "trimmed"])
def test_healthy_headers_pass(odd_video: Callable[[str], Path], name: str) -> None:
    check_boxes(BytesIO(odd_video(name).read_bytes()), name)


def test_real_headers_pass(test_data: Path) -> None:
    paths = list((test_data / "videos").glob("*.mp4"))
    assert paths
    for path in paths:
        check_boxes(BytesIO(path.read_bytes()), path.name)


@pytest.mark.parametrize(
    "header",
    [
        nested(samples(MOST_ENTRIES)),
        nested(box(b"stsz", struct.pack(">III", 0, 0, MOST_ENTRIES))),
        nested(box(b"stz2", struct.pack(">III", 0, 4, MOST_ENTRIES))),
        nested(samples(7), samples(MOST_ENTRIES)),
        nested(samples(60_000)) + nested(samples(60_000)),
        long_box(b"moov", long_box(b"trak", samples(MOST_ENTRIES))),
        box(b"free", box(b"mvhd", bytes(100)), box(b"trak", samples(MOST_ENTRIES))),
        struct.pack(">I4s", 0, b"moov") + box(b"trak", samples(MOST_ENTRIES)),
        box(b"moov", box(b"trak", samples(1000), box(b"edts", box(b"elst", struct.pack(">II", 0, 1000), bytes(24))))),
        box(b"moof", box(b"traf", box(b"trun", struct.pack(">II", 0, MOST_ENTRIES)))),
        box(b"moof", box(b"traf", *[box(b"trun", struct.pack(">II", 0, 10_000))] * 11)),
        box(b"meta", bytes(4), box(b"hdlr", bytes(24)), box(b"iinf", struct.pack(">II", 1 << 24, MOST_ENTRIES))),
        box(b"meta", box(b"hdlr", bytes(24)), box(b"iloc", struct.pack(">IHI", 2 << 24, 0, MOST_ENTRIES))),
    ],
)
def test_claims_that_the_file_cannot_fill_are_refused(header: bytes) -> None:
    start = box(b"ftyp", b"isom")
    for data in (header, start + header, start + box(b"wide") + long_box(b"mdat", b"12345678") + header):
        with pytest.raises(ItemError, match=r"a\.mp4 claims [\d,]+ frames and samples in [\d,]+ bytes"):
            check_boxes(BytesIO(data), "a.mp4")


def test_what_the_data_holds_is_no_header() -> None:
    check_boxes(BytesIO(box(b"ftyp", b"isom") + box(b"mdat", nested(samples(MOST_ENTRIES)))), "a.mp4")


@pytest.mark.parametrize("data", [b"", b"\0" * 7, b"\0" * 64, b"\0\0\0\5moov", b"\xff\xff\xff\xffmoov" + bytes(3)])
def test_scraps_pass_for_the_decoder_to_judge(data: bytes) -> None:
    check_boxes(BytesIO(data), "a.mp4")


def test_random_headers_never_break_it() -> None:
    rng = np.random.default_rng(0)
    kinds = [b"moov", b"trak", b"stbl", b"stsz", b"elst", b"meta", b"iinf", b"stsc", b"hdlr", b"stsd", b"trun", b"cmov"]
    for _ in range(300):
        parts = [box(kinds[rng.integers(len(kinds))], rng.bytes(rng.integers(40))) for _ in range(rng.integers(1, 8))]
        data = bytearray(box(b"moov", box(b"trak", *parts)))
        data[rng.integers(len(data))] = rng.integers(256)
        with suppress(ItemError):
            check_boxes(BytesIO(data), "a.mp4")


def test_plain_sound_counts_by_the_chunk(tmp_path: Path) -> None:
    path = tmp_path / "long.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_u8", rate=44100, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1 << 20), np.uint8), format="u8", layout="mono")
        sound.sample_rate = 44100
        for number in range(11):
            sound.pts = number << 20
            container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    assert struct.unpack_from(">I", data, data.index(b"stsz") + 12)[0] > MOST_ENTRIES
    check_boxes(BytesIO(data), "long.mov")
    place = data.index(b"stsc") + 16
    data[place : place + 4] = b"\xff" * 4  # samples of the first chunk
    place = data.index(b"stco") + 8
    data[place : place + 4] = struct.pack(">I", 1000)
    with pytest.raises(ItemError, match="claims"):
        check_boxes(BytesIO(data), "long.mov")


def test_headers_that_take_long_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mp4_boxes, "MOST_BOXES", 100)
    with pytest.raises(ItemError, match="over 100 parts"):
        check_boxes(BytesIO(box(b"moof", bytes(8)) * 101), "a.mp4")
    with pytest.raises(ItemError, match="over 100 parts"):
        check_boxes(BytesIO(box(b"moov", box(b"udta") * 1000)), "a.mp4")
    monkeypatch.setattr(mp4_boxes, "MOST_HEADER", 1 << 20)
    with pytest.raises(ItemError, match="header of 2 MB"):
        check_boxes(BytesIO(box(b"moov", bytes(2 << 20))), "a.mp4")
