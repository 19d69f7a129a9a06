"""Videos that go wrong in every way known, made by code, and what each is to come to."""

import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest
from PIL import Image

WIDTH, HEIGHT, COUNT, RATE = 96, 64, 30, 25


class Odd(NamedTuple):
    """How to make an odd video in an empty folder, and what reading it comes to.

    Attributes:
        refused: words (a regular expression) of the refusal; empty: it works.
        damage: words of what is said to be damaged though it works.
    """

    make: Callable[[Path], Path]
    refused: str = ""
    damage: str = ""


def pictures(count: int = COUNT, width: int = WIDTH, height: int = HEIGHT) -> Iterator[np.ndarray]:
    """A bright disc that goes from left to right over a grained ramp."""
    rows, columns = np.mgrid[:height, :width]
    grain = np.random.default_rng(0).integers(0, 24, (height, width))
    for number in range(count):
        grey = 40 + 80 * rows / height + grain
        centre = width * (number + 0.5) / count
        grey[(rows - height / 2) ** 2 + (columns - centre) ** 2 < (min(width, height) / 4) ** 2] = 230
        yield np.repeat(grey.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def write(
    path: Path,
    frames: Iterable[np.ndarray] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rate: int = RATE,
    stamps: Iterable[int] | None = None,
    muxing: dict[str, str] | None = None,
    **coding: str,
) -> Path:
    """Write a video; stamps are in thousandths of a second, negative ones and repeats as they come."""
    film = list(pictures() if frames is None else frames)
    with av.open(f"file:{path}", "w", options=muxing or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *film[0].shape[:2], pixels
        stream.options = {"threads": "1", **coding}
        if stamps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for picture, stamp in zip(film, stamps if stamps is not None else range(len(film))):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = stamp, Fraction(1, 1000 if stamps is not None else rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def plain(folder: Path, name: str = "clip.mp4") -> Path:
    """A healthy file, its table of contents first; any name."""
    whole = write(folder / "whole.mp4", muxing={"movflags": "faststart"}, g="10", bf="2")
    return whole.rename(folder / name)


def holding(folder: Path, content: bytes, name: str = "clip.mp4") -> Path:
    """A file of the given bytes."""
    path = folder / name
    path.write_bytes(content)
    return path


def patched(folder: Path, kind: bytes, place: int, value: bytes, source: Path | None = None) -> Path:
    """A healthy file with bytes changed, counted from the content of its first box of a kind."""
    path = source or plain(folder)
    data = bytearray(path.read_bytes())
    start = data.index(kind) + 4 + place
    data[start : start + len(value)] = value
    path.write_bytes(data)
    return path


def box(kind: bytes, *content: bytes) -> bytes:
    """One box of an mp4 file."""
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def no_moov(folder: Path) -> Path:
    data = write(folder / "clip.mp4").read_bytes()
    return holding(folder, data[: data.index(b"moov") - 4])


def cut_in_mdat(folder: Path) -> Path:
    data = plain(folder).read_bytes()
    start = data.index(b"mdat")
    return holding(folder, data[: start + (len(data) - start) * 6 // 10])


def bit_flipped(folder: Path) -> Path:
    data = bytearray(plain(folder).read_bytes())
    start = data.index(b"mdat")
    for part in range(30, 60, 3):
        data[start + (len(data) - start) * part // 100] ^= 0x10
    return holding(folder, bytes(data))


def all_damaged(folder: Path) -> Path:
    data = bytearray(plain(folder).read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    return holding(folder, bytes(data))


def jpeg(folder: Path) -> Path:
    buffer = BytesIO()
    Image.fromarray(next(pictures())).save(buffer, "JPEG")
    return holding(folder, buffer.getvalue())


def playlist(folder: Path, text: str) -> Path:
    other = plain(folder, "other.mp4")
    return holding(folder, text.format(other=other).encode())


def sound(folder: Path, cover: bool = False) -> Path:
    path = folder / ("clip.mp4" if not cover else "clip.m4a.mp4")
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        picture = container.add_stream("mjpeg", rate=1) if cover else None
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
        for number in range(50):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate, silence.pts = 44100, 1024 * number
            container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
        if picture is not None:
            frame = av.VideoFrame.from_ndarray(next(pictures()), format="rgb24").reformat(format="yuvj420p")
            frame.pts = 0
            container.mux(picture.encode(frame))
            container.mux(picture.encode(None))
    return path


def turned(folder: Path, degrees: int) -> Path:
    """A healthy file shown turned clockwise, by the matrix in its track's header."""
    a, b, c, d = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees]
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    return patched(folder, b"tkhd", 4 + 20 + 16, matrix)


def mirrored(folder: Path) -> Path:
    """A healthy file shown as in a mirror, as cameras of the front of a phone have it."""
    return patched(folder, b"tkhd", 4 + 20 + 16, struct.pack(">9i", -1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))


def wide_pixels(folder: Path) -> Path:
    """Pixels that are half as wide again as high."""
    path = folder / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        for picture in pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    return path


def begun_late(folder: Path) -> Path:
    """A broadcast that was switched on in the middle: what its first frames refer to is missing."""
    whole, path = write(folder / "whole.ts", g="10", bf="2"), folder / "clip.ts"
    with av.open(str(whole)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if number >= 5 and packet.size:
                packet.stream = stream
                container.mux(packet)
    return path


def zero_fps(folder: Path) -> Path:
    """Every frame lasts for no time, so that all have one stamp."""
    path = write(folder / "clip.mp4", bf="0")
    return patched(folder, b"stts", 12, bytes(4), path)


def huge_sps(width: int, height: int) -> bytes:
    """H.264's own header, saying a size: baseline profile, level 5.2, no cropping."""
    bits = ""

    def golomb(value: int) -> str:
        number = bin(value + 1)[2:]
        return "0" * (len(number) - 1) + number

    bits += golomb(0) + golomb(0) + golomb(2) + golomb(1) + "0"  # id, frame numbers, order, references, gaps
    bits += golomb(width // 16 - 1) + golomb(height // 16 - 1) + "1" + "1" + "0" + "0" + "1"
    bits += "0" * (-len(bits) % 8)
    return b"\x67\x42\x00\x34" + int(bits, 2).to_bytes(len(bits) // 8, "big")


def huge_claimed_size(folder: Path, width: int = 60000, height: int = 60000) -> Path:
    path = plain(folder)
    data = bytearray(path.read_bytes())
    start = data.index(b"avcC") + 4 + 6
    length = struct.unpack_from(">H", data, start)[0]
    sps = huge_sps(width, height)
    data[start + 2 : start + 2 + length] = sps.ljust(length, b"\0")
    entry = data.index(b"avc1") + 4 + 24
    data[entry : entry + 4] = struct.pack(">HH", width, height)
    path.write_bytes(data)
    return path


def huge_inside(folder: Path, name: str) -> Path:
    """The same in containers that say nothing of the size: it stands before each key picture alone."""
    whole, path = write(folder / "whole.ts", g="10", bf="0"), folder / name
    with av.open(str(whole)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                units = [huge_sps(16000, 16000) if u[:1] == b"\x67" else u for u in bytes(packet).split(b"\0\0\1")]
                changed = av.Packet(b"\0\0\1".join(units))
                changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
                changed.is_keyframe, changed.stream = packet.is_keyframe, stream
                container.mux(changed)
    return path


def growing(folder: Path) -> Path:
    """Frames of 96 x 64, and then of 192 x 128."""
    parts = [write(folder / f"{n}.ts", pictures(width=n * WIDTH, height=n * HEIGHT), bf="0") for n in (1, 2)]
    return holding(folder, b"".join(part.read_bytes() for part in parts), "clip.ts")


def huge_gif(folder: Path) -> Path:
    path = write(folder / "clip.gif", codec="gif", pixels="rgb8")
    data = bytearray(path.read_bytes())
    data[6:10] = struct.pack("<HH", 60000, 60000)
    path.write_bytes(data)
    return path


def slow(folder: Path) -> Path:
    """Frames that last a day each, says the table of times, and the header's length with it."""
    path = write(folder / "clip.mp4", muxing={"movflags": "faststart", "use_editlist": "0"}, bf="0")
    patched(folder, b"stts", 12, b"\x7f" * 4, path)
    return patched(folder, b"mdhd", 16, b"\x7f" * 4, path)


def far_apart(folder: Path) -> Path:
    """A last frame that comes two days after the others, of which the header says nothing."""
    path = write(folder / "clip.mkv", stamps=[*range(0, 1000, 40), 2 * 24 * 3600 * 1000], bf="0")
    data = path.read_bytes().replace(b"DURATION", b"OTHERTAG")
    start = data.index(b"\x44\x89\x88") + 3  # the segment's length
    return holding(folder, data[:start] + struct.pack(">d", 1000.0) + data[start + 8 :], path.name)


def many_claimed_frames(folder: Path) -> Path:
    """A table of twenty million frames in two thousand bytes."""
    path = patched(folder, b"stsz", 4, struct.pack(">II", 1, 20_000_000))
    patched(folder, b"stsc", 8, struct.pack(">III", 1, 20_000_000, 1), path)
    return patched(folder, b"stts", 8, struct.pack(">II", 20_000_000, 512), path)


def many_claimed_pieces(folder: Path) -> Path:
    """The same in a fragment's header."""
    path = write(folder / "clip.mp4", muxing={"movflags": "frag_keyframe+empty_moov"})
    data = path.read_bytes()
    track = box(b"tfhd", struct.pack(">II", 0x20000, 1)) + box(b"tfdt", bytes(8))
    run = box(b"trun", struct.pack(">II", 0, 80_000_000))
    fragment = box(b"moof", box(b"mfhd", struct.pack(">II", 0, 1)), box(b"traf", track, run))
    return holding(folder, data[: data.index(b"moof") - 4] + fragment + box(b"mdat", bytes(1000)))


def grown(data: bytes, place: int, extra: bytes, *parents: bytes) -> bytearray:
    """Put bytes into nested boxes, whose sizes grow."""
    result = bytearray(data)
    for kind in parents:
        at = result.index(kind) - 4
        result[at : at + 4] = struct.pack(">I", struct.unpack_from(">I", result, at)[0] + len(extra))
    result[place:place] = extra
    return result


def many_claimed_edits(folder: Path) -> Path:
    """A hundred thousand edits, each of which shows the whole film again."""
    data = plain(folder).read_bytes()
    start = data.index(b"elst") + 4
    longer = grown(data, start + 20, data[start + 8 : start + 20] * 99_999, b"elst", b"edts", b"trak", b"moov")
    longer[start + 4 : start + 8] = struct.pack(">I", 100_000)
    return holding(folder, bytes(longer))


def many_claimed_items(folder: Path) -> Path:
    """A list of fifty million pictures."""
    handler = box(b"hdlr", struct.pack(">II4s12sB", 0, 0, b"pict", bytes(12), 0))
    items = box(b"iinf", struct.pack(">II", 1 << 24, 50_000_000))
    kind = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    return holding(folder, kind + box(b"meta", bytes(4), handler, box(b"pitm", bytes(6)), items))


def packed_header(folder: Path) -> Path:
    """A compressed header, as QuickTime once had, which may be as large as it likes inside."""
    data = plain(folder).read_bytes()
    start, end = data.index(b"moov") - 4, data.index(b"mdat") - 4
    inside = box(b"cmvd", struct.pack(">I", end - start), zlib.compress(data[start:end]))
    return holding(folder, data[:start] + box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), inside)) + data[end:])


def elsewhere(folder: Path) -> Path:
    """A header whose pictures lie in another file, named by a Macintosh alias."""
    other = plain(folder, "other.mp4")
    data = other.read_bytes()  # not written twice: x264 does not always write the same
    start = data.index(b"url ") - 4
    name = b"disk" + str(other).encode().replace(b"/", b":")
    alias = bytes(10) + b"\4disk".ljust(28, b"\0") + bytes(12) + b"\0".ljust(64, b"\0") + bytes(36)
    alias += struct.pack(">HH", 2, len(name)) + name.ljust(len(name) + len(name) % 2, b"\0") + b"\xff\xff\0\0"
    parents = (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov")
    result = grown(data, start + 12, alias, b"url ", *parents)
    result[start + 4 : start + 12] = b"alis" + bytes(4)
    return holding(folder, bytes(result[: result.index(b"mdat") - 4]))


def variable_rate(folder: Path) -> Path:
    """Steps of 20, 40 and 200 ms."""
    stamps = np.cumsum([0, *([20, 40, 200] * 9), 20, 20])
    return write(folder / "clip.mkv", stamps=[int(stamp) for stamp in stamps], bf="2")


def negative_stamps(folder: Path) -> Path:
    """Stamps from half a second before zero."""
    path = folder / "clip.mkv"
    return write(path, stamps=range(-500, 700, 40), muxing={"avoid_negative_ts": "disabled"}, bf="0")


def trimmed(folder: Path) -> Path:
    """A whole file of which an edit list shows ten frames from the middle."""
    return patched(folder, b"elst", 8, struct.pack(">Ii", 400, 6 * 1024))


def shuffled_stamps(folder: Path) -> Path:
    """Stamps in the order of decoding: what is shown steps back and forth."""
    path = plain(folder)
    data = bytearray(path.read_bytes())
    start = data.index(b"ctts") + 4
    for entry in range(struct.unpack_from(">I", data, start + 4)[0]):
        data[start + 12 + 8 * entry : start + 16 + 8 * entry] = bytes(4)
    path.write_bytes(data)
    return path


def pipe(folder: Path) -> Path:
    path = folder / "clip.mp4"
    os.mkfifo(path)
    return path


def plug(folder: Path) -> Path:
    path = folder / "clip.mp4"
    os.mknod(path, stat.S_IFSOCK | 0o600)
    return path


def no_rights(folder: Path) -> Path:
    if os.geteuid() == 0:
        pytest.skip("root may read every file")
    path = plain(folder)
    path.chmod(0)
    return path


def black() -> list[np.ndarray]:
    return [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * COUNT


DAMAGED = "is damaged or cut off"
NO_VIDEO = "is no video file"
NOTHING = "nothing in .* can be decoded"
HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nfile://{other}\n#EXT-X-ENDLIST\n"
LISTED = "ffconcat version 1.0\nfile 'file:{other}'\n"

ODD: dict[str, Odd] = {
    "plain": Odd(plain),
    "empty": Odd(lambda folder: holding(folder, b""), "is empty"),
    "no_moov": Odd(no_moov, DAMAGED),
    "cut_in_mdat": Odd(cut_in_mdat, damage=r"cut off after 0\.\d s of 1\.2 s"),
    "bit_flipped": Odd(bit_flipped, damage=r"\d+ frames? (at|between) .* (came out damaged|could not be decoded)"),
    "all_damaged": Odd(all_damaged, NOTHING),
    "noise": Odd(lambda folder: holding(folder, np.random.default_rng(0).bytes(9999)), NO_VIDEO),
    "jpeg_named_mp4": Odd(jpeg, NO_VIDEO),
    "text_named_mp4": Odd(lambda folder: holding(folder, b"this is no video\n" * 99), NO_VIDEO),
    "playlist_named_mp4": Odd(partial(playlist, text=HLS), NO_VIDEO),
    "concat_named_mp4": Odd(partial(playlist, text=LISTED), NO_VIDEO),
    "elsewhere": Odd(elsewhere, NOTHING),
    "audio_only": Odd(sound, "sound only"),
    "cover_art": Odd(partial(sound, cover=True), "besides its cover"),
    "unknown_codec": Odd(lambda folder: patched(folder, b"stsd", 12, b"zz9z"), "coded in a way"),
    "one_frame": Odd(lambda folder: write(folder / "clip.mp4", pictures(1))),
    "zero_fps": Odd(zero_fps),
    "thousand_fps": Odd(lambda folder: write(folder / "clip.mp4", pictures(200), rate=1000)),
    "variable_rate": Odd(variable_rate),
    "shuffled_stamps": Odd(shuffled_stamps),
    "negative_stamps": Odd(negative_stamps),
    "trimmed": Odd(trimmed),
    "rotated_90": Odd(partial(turned, degrees=90)),
    "rotated_180": Odd(partial(turned, degrees=180)),
    "rotated_270": Odd(partial(turned, degrees=270)),
    "mirrored": Odd(mirrored),
    "wide_pixels": Odd(wide_pixels),
    "begun_late": Odd(begun_late),
    "odd_size": Odd(lambda folder: write(folder / "clip.mp4", pictures(width=95, height=63), pixels="yuv444p")),
    "tiny": Odd(lambda folder: write(folder / "clip.mp4", pictures(width=16, height=16))),
    "ten_bit": Odd(lambda folder: write(folder / "clip.mp4", pixels="yuv420p10le")),
    "alpha": Odd(lambda folder: write(folder / "clip.mov", codec="qtrle", pixels="argb")),
    "alpha_png": Odd(lambda folder: write(folder / "clip.mov", codec="png", pixels="rgba")),
    "alpha_vp9": Odd(lambda folder: write(folder / "clip.webm", codec="libvpx-vp9", pixels="yuva420p", cpu_used="8")),
    "grey": Odd(lambda folder: write(folder / "clip.mp4", pixels="gray")),
    "palette": Odd(lambda folder: write(folder / "clip.gif", codec="gif", pixels="rgb8")),
    "black": Odd(lambda folder: write(folder / "clip.mp4", black())),
    "huge_claimed_size": Odd(huge_claimed_size, "too large|pixels are read"),
    "huge_but_possible_size": Odd(partial(huge_claimed_size, width=16000, height=16000), "pixels are read"),
    "huge_in_flv": Odd(partial(huge_inside, name="clip.flv"), "pixels are read"),
    "huge_in_mpg": Odd(partial(huge_inside, name="clip.mpg"), "pixels are read"),
    "huge_in_ts": Odd(partial(huge_inside, name="clip.ts"), "pixels are read"),
    "growing": Odd(growing),
    "huge_gif": Odd(huge_gif, "too large|pixels are read"),
    "huge_claimed_length": Odd(slow, "claims to last"),
    "huge_stamps": Odd(far_apart, "lasts"),
    "many_claimed_frames": Odd(many_claimed_frames, "frames and samples in"),
    "many_claimed_pieces": Odd(many_claimed_pieces, "frames and samples in"),
    "many_claimed_edits": Odd(many_claimed_edits, "frames and samples in"),
    "many_claimed_items": Odd(many_claimed_items, "frames and samples in"),
    "packed_header": Odd(packed_header, "compressed header"),
    "name_spaces": Odd(partial(plain, name=" two  spaces .mp4")),
    "name_quotes": Odd(partial(plain, name='it\'s "quoted" `so`.mp4')),
    "name_newline": Odd(partial(plain, name="two\nlines.mp4")),
    "name_emoji": Odd(partial(plain, name="😀 表 é.mp4")),
    "name_dash": Odd(partial(plain, name="-i.mp4")),
    "name_percent_d": Odd(partial(plain, name="%d")),
    "name_percent_03d": Odd(partial(plain, name="frame%03d.jpg")),
    "name_concat": Odd(partial(plain, name="concat:a.mp4|b.mp4")),
    "name_markup": Odd(partial(plain, name="<b>[red]x.mp4")),
    "name_bad_bytes": Odd(partial(plain, name=os.fsdecode(b"\xff\xfe.mp4"))),
    "newline_empty": Odd(lambda folder: holding(folder, b"", "two\nlines.mp4"), "is empty"),
    "missing": Odd(lambda folder: folder / "missing.mp4", "No such file"),
    "folder": Odd(lambda folder: folder, "directory"),
    "fifo": Odd(pipe, "a pipe"),
    "socket": Odd(plug, "a socket"),
    "device": Odd(lambda folder: Path("/dev/zero"), "a device"),
    "unreadable": Odd(no_rights, "denied"),
}
