"""Every kind of video, made here: the right pictures in the right order, by number and as a stream."""

import re
import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from dfer.errors import ItemError
from dfer.video import decode, frame_count, open_stream, read_frames

COUNT, HEIGHT, WIDTH = 24, 64, 96
COLOURS = np.array(
    [(235, 30, 40), (40, 200, 60), (30, 60, 220), (240, 240, 240), (10, 10, 10), (200, 150, 110)], np.uint8
)
Film = Sequence[np.ndarray]


def film(count: int = COUNT, height: int = HEIGHT, width: int = WIDTH, first: int = 0) -> list[np.ndarray]:
    """Six fields of colour, and a bar below that grows with the number."""
    fields = COLOURS.reshape(2, 3, 3).repeat(height // 3 + 1, 0)[: 2 * (height // 3)]
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: len(fields)] = fields.repeat(width // 3 + 1, 1)[:, :width]
    frames = [picture.copy() for _ in range(count)]
    for number, frame in enumerate(frames, first):
        frame[len(fields) :, : (number + 1) * width // 40] = 230
    return frames


def write(
    path: Path,
    frames: Film,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    matrix: Any = Colorspace.ITU601,
    full: bool = False,
    named: bool = True,
    stamps: Iterable[int] | None = None,
    muxing: dict[str, str] | None = None,
    **coding: str,
) -> Path:
    """Write a film; colours as asked for, and said in the file if named; stamps in thousandths of a second."""
    reach = ColorRange.JPEG if full else ColorRange.MPEG
    with av.open(str(path), "w", options=muxing or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixels
        context = stream.codec_context
        if named:
            context.colorspace, context.color_range = int(matrix), int(reach)
        if stamps is not None:
            context.time_base = Fraction(1, 1000)
        context.gop_size = int(coding.pop("g", "8"))
        context.max_b_frames = int(coding.pop("bf", "0"))
        context.bit_rate = 4_000_000
        stream.options = {"threads": "1", **QUIET.get(codec, {}), **coding}
        for frame, stamp in zip(frames, stamps if stamps is not None else range(len(frames))):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture = picture.reformat(format=pixels, dst_colorspace=matrix, dst_color_range=reach)
            picture.pts, picture.time_base = stamp, Fraction(1, 1000 if stamps is not None else 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


QUIET = {
    "libx264": {"crf": "4", "b-adapt": "0"},
    "libx265": {"crf": "4", "x265-params": "log-level=none:b-adapt=0"},
    "libvpx-vp9": {"crf": "4", "cpu-used": "8"},
    "mjpeg": {"qscale": "1"},
}


class Kind(NamedTuple):
    """How to make a video in an empty folder, and the frames that it then has.

    Attributes:
        tolerance: how far the mean of a frame may be off.
    """

    make: Callable[[Path], Path]
    frames: Film
    tolerance: float = 4.0


def grey(frames: Film) -> Film:
    """The brightness alone."""
    return [
        (frame @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)[:, :, None].repeat(3, 2) for frame in frames
    ]


def repacked(
    source: Path, path: Path, change: Callable[[int, bytes], bytes | None] = lambda number, data: data
) -> Path:
    """Copy the pieces of a video, without those that are changed to None."""
    with av.open(str(source)) as whole, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(whole.streams.video[0])
        for number, packet in enumerate(one for one in whole.demux(video=0) if one.size):
            data = change(number, bytes(packet))
            if data is not None:
                copy = av.Packet(data)
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.duration, copy.is_keyframe, copy.stream = packet.duration, packet.is_keyframe, stream
                container.mux(copy)
    return path


def sizes(folder: Path, suffix: str, second: Film, codec: str, pixels: str) -> Path:
    """A film that goes on in another size, its time too."""
    whole, path = folder / f"1.{suffix}", folder / f"both.{suffix}"
    write(whole, film(), codec, pixels, full=pixels.startswith("yuvj"))
    more = write(folder / f"2.{suffix}", second, codec, pixels, full=pixels.startswith("yuvj"))
    with av.open(str(whole)) as one, av.open(str(more)) as two, av.open(str(path), "w") as container:
        stream, begin = container.add_stream_from_template(one.streams.video[0]), 0
        for source in (one, two):
            for packet in source.demux(video=0):
                if packet.size and packet.pts is not None and packet.time_base is not None:
                    packet.pts = packet.dts = packet.pts + begin
                    packet.stream, last = stream, packet.pts + round(Fraction(1, 25) / packet.time_base)
                    container.mux(packet)
            begin = last
    return path


def joined(folder: Path, seconds: str) -> Path:
    """Two films one after the other, of which the second says that it begins at a time."""
    parts = [write(folder / "1.ts", film(), bf="2")]
    parts.append(write(folder / "2.ts", film()[::-1], bf="2", muxing={"output_ts_offset": seconds}))
    path = folder / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def hidden(folder: Path) -> Path:
    """VP8 with two frames that are only referred to."""
    source = write(folder / "1.webm", film(), "libvpx")
    return repacked(
        source, folder / "2.webm", lambda i, data: bytes([data[0] & ~0x10]) + data[1:] if i in (5, 11) else data
    )


def packed_b_frames(folder: Path) -> Path:
    """MPEG-4 as DivX wrote it: two frames in one piece, and then an empty one."""
    source, path, vop = write(folder / "1.avi", film(), "mpeg4", bf="1"), folder / "2.avi", b"\0\0\1\xb6"
    with av.open(str(source)) as container:
        pieces = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    is_b = [piece[piece.index(vop) + 4] >> 6 == 2 for piece in pieces]
    packed = [
        vop + b"\x7f" if b else piece + (pieces[i + 1] if [*is_b, False][i + 1] else b"")
        for i, (piece, b) in enumerate(zip(pieces, is_b))
    ]
    repacked(source, path, lambda number, data: packed[number])
    data = path.read_bytes()
    writer = data.index(b"Lavc", data.index(b"strf"))
    path.write_bytes(data[:writer] + b"DivX503b1393p" + data[writer + 13 :])
    return path


def begun_late(folder: Path, suffix: str, first: int, codec: str = "libx264", coding: str = "open-gop=1") -> Path:
    """A broadcast that was switched on in the middle: what its first frames refer to is missing."""
    name = codec.removeprefix("lib") + "-params"
    coded = {name: f"log-level=none:b-adapt=0:keyint=8:min-keyint=8:{coding}"}
    source = write(folder / f"1.{suffix}", film(), codec, bf="3", **coded)
    return repacked(source, folder / f"2.{suffix}", lambda number, data: None if number < first else data)


def edited(folder: Path, *edits: tuple[int, int]) -> Path:
    """An mp4 whose edit list shows these stretches: thousandths of a second, and units of 1/12800 s to begin at."""
    data = write(folder / "1.mp4", film(), bf="2").read_bytes()  # its header comes last
    begin = data.index(b"elst")
    content = struct.pack(">II", 0, len(edits)) + b"".join(struct.pack(">IiI", *edit, 0x10000) for edit in edits)
    result = bytearray(data[: begin + 4] + content + data[begin + 24 :])
    for kind in (b"elst", b"edts", b"trak", b"moov"):
        at = data.index(kind) - 4
        result[at : at + 4] = struct.pack(">I", struct.unpack_from(">I", data, at)[0] + 12 * (len(edits) - 1))
    path = folder / "2.mp4"
    path.write_bytes(result)
    return path


def with_others(folder: Path, suffix: str, order: str) -> Path:
    """The film as one of several streams: v the film, w another film, a sound, c a cover picture."""
    path = folder / f"several.{suffix}"
    with av.open(str(path), "w") as container:
        streams: list[Any] = []
        for kind in order:
            stream = container.add_stream(
                {"a": "aac", "c": "mjpeg"}.get(kind, "libx264"), rate=44100 if kind == "a" else 25
            )
            if kind == "a":
                stream.codec_context.layout = "mono"
            else:
                stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuvj420p" if kind == "c" else "yuv420p"
                stream.codec_context.max_b_frames = 0
            if kind == "c":
                stream.disposition = av.stream.Disposition.attached_pic
            streams.append(stream)
        for kind, stream in zip(order, streams):
            frames = {"v": film(), "w": film()[::-1], "c": film()[3:4], "a": [None] * 40}[kind]
            for number, pixels in enumerate(frames):
                if pixels is None:
                    frame: Any = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                    frame.sample_rate, frame.pts = 44100, 1024 * number
                else:
                    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=stream.pix_fmt)
                    frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def cover_first(folder: Path) -> Path:
    """An mp4 whose cover picture stands before its pictures in the header, as some taggers put it."""
    data = with_others(folder, "mp4", "vac").read_bytes()
    moov, cover = data.index(b"moov"), data.index(b"udta") - 4
    size = struct.unpack_from(">I", data, cover)[0]
    rest = data[moov + 4 : cover] + data[cover + size :]
    path = folder / "first.mp4"
    path.write_bytes(data[: moov + 4] + data[cover : cover + size] + rest)
    return path


def plain(codec: str, pixels: str, suffix: str, frames: Film | None = None, **more: Any) -> Kind:
    frames = film() if frames is None else frames
    more.setdefault("full", pixels.startswith(("yuvj", "gray8", "ya8")) or pixels == "gray")
    tolerance = more.pop("tolerance", 4.0)
    expected = grey(frames) if pixels.startswith(("gray", "ya8")) else frames
    return Kind(lambda folder: write(folder / f"film.{suffix}", frames, codec, pixels, **more), expected, tolerance)


BT709, BT601, BT240 = Colorspace.ITU709, Colorspace.ITU601, Colorspace.SMPTE240M
STEPS = np.cumsum([0, *[20, 40, 200] * COUNT])[:COUNT].tolist()
ODD_SIZE = film(height=55, width=97)
GIF_SHARE = 20.0  # of 3, 3 and 2 bits, dithered
KINDS: dict[str, Kind] = {
    **{
        f"{name}_{'full' if full else 'limited'}_{suffix}": plain(
            "libx264", "yuv444p", suffix, matrix=matrix, full=full
        )
        for name, matrix in (("bt601", BT601), ("bt709", BT709), ("bt240", BT240))
        for full in (False, True)
        for suffix in ("mp4", "mkv", "ts")
    },
    "colours_unnamed": plain("libx264", "yuv444p", "mp4", named=False),
    "yuvj420": plain("libx264", "yuvj420p", "mp4"),
    "motion_jpeg_avi": plain("mjpeg", "yuvj420p", "avi"),
    "motion_jpeg_mov": plain("mjpeg", "yuvj422p", "mov"),
    "eight_bit_422": plain("libx264", "yuv422p", "mkv"),
    "ten_bit": plain("libx264", "yuv420p10le", "mp4", matrix=BT709),
    "ten_bit_444": plain("libx264", "yuv444p10le", "mkv"),
    "ten_bit_av1": plain("libsvtav1", "yuv420p10le", "mkv"),
    "twelve_bit": plain("libx265", "yuv420p12le", "mp4", matrix=BT709),
    "twelve_bit_rgb": plain("ffv1", "gbrp12le", "mkv", named=False),
    "sixteen_bit_rgb": plain("ffv1", "rgb48le", "mkv", named=False),
    "sixteen_bit_grey": plain("ffv1", "gray16le", "mkv", full=True),
    "grey": plain("libx264", "gray", "mp4"),
    "grey_png": plain("png", "gray", "mov"),
    "rgb": plain("libx264rgb", "rgb24", "mp4", named=False, full=True),
    "rgb_png": plain("png", "rgb24", "mov", named=False),
    "alpha_run_length": plain("qtrle", "argb", "mov", named=False),
    "alpha_png": plain("png", "rgba", "mov", named=False),
    "alpha_prores": plain("prores_ks", "yuva444p10le", "mov"),
    "alpha_vp9": plain("libvpx-vp9", "yuva420p", "webm"),
    "alpha_ffv1": plain("ffv1", "bgra", "mkv", named=False),
    "alpha_grey": plain("ffv1", "ya8", "mkv", full=True),
    "palette": plain("gif", "rgb8", "gif", named=False, tolerance=GIF_SHARE),
    **{
        f"odd_size_{codec}": plain(codec, pixels, suffix, ODD_SIZE)
        for codec, pixels, suffix in (
            ("libx264", "yuv444p", "mp4"),
            ("libvpx-vp9", "yuv420p", "webm"),
            ("mpeg4", "yuv420p", "avi"),
            ("mjpeg", "yuvj420p", "mov"),
        )
    },
    **{
        f"{count}_frames_{suffix}": plain(codec, pixels, suffix, film(count), tolerance=GIF_SHARE)
        for count in (1, 2)
        for suffix, codec, pixels in (
            ("mp4", "libx264", "yuv420p"),
            ("mkv", "libx264", "yuv420p"),
            ("webm", "libvpx-vp9", "yuv420p"),
            ("ts", "libx264", "yuv420p"),
            ("avi", "mpeg4", "yuv420p"),
            ("mpg", "mpeg2video", "yuv420p"),
            ("flv", "libx264", "yuv420p"),
            ("wmv", "wmv2", "yuv420p"),
            ("gif", "gif", "rgb8"),
        )
    },
    **{
        f"variable_rate_{suffix}": plain("libx264", "yuv420p", suffix, stamps=STEPS, bf="2")
        for suffix in ("mp4", "mkv", "flv")
    },
    **{
        f"b_frames_{suffix}": plain(codec, "yuv420p", suffix, bf="3")
        for suffix, codec in (
            ("mp4", "libx264"),
            ("mkv", "libx264"),
            ("ts", "libx264"),
            ("flv", "libx264"),
            ("avi", "mpeg4"),
            ("mpg", "mpeg2video"),
        )
    },
    "b_frames_hevc": plain("libx265", "yuv420p", "mp4", bf="3"),
    "open_gop": plain("libx264", "yuv420p", "mp4", bf="3", **{"x264-params": "open-gop=1"}),
    "open_gop_hevc": plain(
        "libx265", "yuv420p", "mkv", bf="3", **{"x265-params": "log-level=none:open-gop=1:b-adapt=0:keyint=8"}
    ),
    "packed_b_frames": Kind(packed_b_frames, film()),
    "hidden_frames": Kind(hidden, [frame for number, frame in enumerate(film()) if number not in (5, 11)]),
    "interlaced": plain("libx264", "yuv420p", "mp4", flags="+ildct+ilme", **{"x264-params": "tff=1"}),
    "interlaced_mpeg": plain("mpeg2video", "yuv420p", "mpg", bf="2", flags="+ildct+ilme", tolerance=6),
    "one_key_frame": plain("libx264", "yuv420p", "mp4", g="1000", bf="2"),
    "fragmented": plain("libx264", "yuv420p", "mp4", bf="2", muxing={"movflags": "frag_keyframe+empty_moov"}),
    "fragments_of_a_frame": plain(
        "libx264", "yuv420p", "mp4", bf="2", muxing={"movflags": "frag_every_frame+empty_moov"}
    ),
    "without_an_index": plain("libx264", "yuv420p", "mkv", bf="2", muxing={"live": "1"}),
    "late_start_ts": plain("libx264", "yuv420p", "ts", bf="2", muxing={"output_ts_offset": "90000"}),
    "stamps_wrap": plain("libx264", "yuv420p", "ts", bf="2", muxing={"output_ts_offset": "95443.2"}),
    "late_start_mkv": plain("libx264", "yuv420p", "mkv", bf="2", muxing={"output_ts_offset": "5000"}),
    "late_start_mp4": plain("libx264", "yuv420p", "mp4", bf="2", muxing={"output_ts_offset": "50"}),
    "no_edits": plain("libx264", "yuv420p", "mp4", bf="2", muxing={"use_editlist": "0"}),
    "edited_twice": Kind(lambda folder: edited(folder, (960, 1024), (400, 1024 + 5120)), [*film(), *film()[10:20]]),
    "edited_delay": Kind(lambda folder: edited(folder, (2000, -1), (960, 1024)), film()),
    "edited_middle": Kind(lambda folder: edited(folder, (400, 1024 + 5120)), film()[10:20]),
    "joined": Kind(lambda folder: joined(folder, "0"), [*film(), *film()[::-1]]),
    "joined_overlapping": Kind(lambda folder: joined(folder, "0.5"), [*film(), *film()[::-1]]),
    "joined_between": Kind(lambda folder: joined(folder, "0.013"), [*film(), *film()[::-1]]),
    "joined_after_a_gap": Kind(lambda folder: joined(folder, "3"), [*film(), *film()[::-1]]),
    **{
        f"begun_late_{suffix}_{first}": Kind(
            lambda folder, suffix=suffix, first=first: begun_late(folder, suffix, first), film()[shown:]
        )
        for suffix in ("ts", "mkv")
        for first, shown in ((3, 8), (5, 8), (7, 16))
    },
    "begun_late_hevc": Kind(lambda folder: begun_late(folder, "mkv", 5, "libx265", "open-gop=1"), film()[8:]),
    **{
        f"{name}_{suffix}": Kind(
            lambda folder, suffix=suffix, codec=codec, pixels=pixels, second=second: sizes(
                folder, suffix, second, codec, pixels
            ),
            [*film(), *film()],
            8,
        )
        for suffix, codec, pixels in (
            ("mkv", "mjpeg", "yuvj420p"),
            ("avi", "mjpeg", "yuvj420p"),
            ("webm", "libvpx-vp9", "yuv420p"),
            ("ts", "libx264", "yuv420p"),
        )
        for name, second in (("grows", film(height=128, width=192)), ("shrinks", film(height=56, width=80)))
    },
    **{
        f"streams_{order}_{suffix}": Kind(
            lambda folder, suffix=suffix, order=order: with_others(folder, suffix, order), film(), 6
        )
        for order, suffix in (
            ("va", "mp4"),
            ("av", "mkv"),
            ("vw", "mp4"),
            ("avw", "mkv"),
            ("vac", "mp4"),
            ("cv", "mp4"),
        )
    },
    "cover_first": Kind(cover_first, film(), 6),
}


def off(frame: np.ndarray, expected: np.ndarray) -> float:
    """Tell how far the mean is off."""
    assert frame.shape == expected.shape
    return float(np.abs(frame.astype(int) - expected).mean())


@pytest.mark.parametrize("name", KINDS)
def test_every_kind(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The frames are those of the film, and the same ones by number, one alone, and as a stream."""
    make, expected, tolerance = KINDS[name]
    path = make(tmp_path)
    capfd.readouterr()  # what encoders print
    assert frame_count(path) == len(expected)
    read = read_frames(path, np.arange(len(expected)))
    assert max(off(frame, wanted) for frame, wanted in zip(read, expected)) < tolerance
    with open_stream(path) as stream:
        streamed = list(stream)
        assert stream.frames == stream.decoded == len(expected)
        assert stream.damage == ""
    assert [frame.index for frame in streamed] == list(range(len(expected)))
    assert all(np.array_equal(frame.pixels, other) for frame, other in zip(streamed, read))
    wanted = np.random.default_rng(0).integers(0, len(expected), 9)
    assert all(np.array_equal(frame, read[i]) for i, frame in zip(wanted, read_frames(path, wanted)))
    for number in (len(expected) - 1, len(expected) // 2, 1 % len(expected)):
        assert np.array_equal(read_frames(path, np.array([number]))[0], read[number])
    assert capfd.readouterr() == ("", "")


ORDINARY = [
    *("bt601_limited_mp4", "ten_bit", "variable_rate_mkv", "open_gop", "open_gop_hevc", "fragmented", "edited_twice"),
    *("b_frames_mp4", "b_frames_mkv", "b_frames_avi", "b_frames_ts", "b_frames_mpg", "b_frames_flv", "b_frames_hevc"),
    *("hidden_frames", "late_start_ts", "stamps_wrap", "without_an_index", "palette", "1_frames_mp4", "interlaced"),
]


@pytest.mark.parametrize("name", ORDINARY)
def test_counting_decodes_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = KINDS[name].make(tmp_path)

    def no_stream(*_: object, **__: object) -> None:
        raise AssertionError("decoded all frames")

    monkeypatch.setattr(decode, "open_stream", no_stream)
    monkeypatch.setattr(decode, "_is_tried_in_order", no_stream)
    assert frame_count(path) == len(KINDS[name].frames)
    assert off(read_frames(path, np.array([len(KINDS[name].frames) - 1]))[0], KINDS[name].frames[-1]) < 20


COUNTED = ["joined", "joined_between", "packed_b_frames", "begun_late_ts_3", "begun_late_mkv_5"]


@pytest.mark.parametrize("name", COUNTED)
def test_what_has_no_stamps_to_rely_on_is_counted_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = KINDS[name].make(tmp_path)
    calls: list[Path] = []
    real = decode.open_stream
    monkeypatch.setattr(
        decode, "open_stream", lambda path, *more, **named: calls.append(path) or real(path, *more, **named)
    )
    for _ in range(3):
        assert frame_count(path) == len(KINDS[name].frames)
    assert len(calls) == 1
    assert decode.timeline(path).counted
    seconds = decode.probe(path).seconds
    assert seconds == pytest.approx(
        len(KINDS[name].frames) / 25, rel=0.3
    )  # a film of under a second that begins again is taken for disorder


COUNTS_ITS_FRAMES = ("mp4", "avi")
CUT = {"mp4": "libx264", "mkv": "libx264", "ts": "libx264", "avi": "mpeg4", "mpg": "mpeg2video"}


@pytest.mark.parametrize("suffix", CUT)
def test_cut_off_in_the_middle(suffix: str, tmp_path: Path) -> None:
    """By number, a file whose header counts its frames is refused; of any other the frames that are there are read."""
    muxing = {"movflags": "faststart"} if suffix == "mp4" else {}
    whole = write(tmp_path / f"whole.{suffix}", film(), CUT[suffix], bf="2", muxing=muxing).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole[: len(whole) * 7 // 10])
    with open_stream(path) as stream:
        frames = list(stream)
        damage = stream.damage
    assert 2 < len(frames) < COUNT
    assert max(off(frame.pixels, film()[frame.index]) for frame in frames) < 20
    assert re.search(r"cut off after 0\.\d s of [01]\.\d s", damage) or suffix in ("ts", "mpg")
    if suffix in COUNTS_ITS_FRAMES:
        with pytest.raises(ItemError, match="cut off"):
            frame_count(path)
    else:
        count = frame_count(path)
        assert abs(count - len(frames)) <= 2  # the last may be half there
        assert len(read_frames(path, np.arange(count))) == count
