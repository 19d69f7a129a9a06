"""Pictures of every odd kind, made by code, and what each is to look like."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from PIL import Image, ImageCms

HEIGHT, WIDTH = 48, 64


class OddImage(NamedTuple):
    """A file's ending, how to make its bytes, and what reading them comes to.

    Attributes:
        expected: the pixels; None: refused.
        tolerance: how far the mean may be off, for what is coded with loss.
        refused: words (a regular expression) of the refusal.
    """

    suffix: str
    make: Callable[[], bytes]
    expected: np.ndarray | None
    tolerance: float = 0.0
    refused: str = ""


def smooth(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A picture without edges, which every codec keeps."""
    cells = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC))


RGB = smooth()
GREY = np.asarray(Image.fromarray(RGB).convert("L"))
GREY_RGB = np.repeat(GREY[:, :, None], 3, axis=2)
BELOW = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3))
"""The lower eight of 16 bits."""
DEEP = (RGB.astype(np.int64) * 256 + BELOW).astype(np.uint16)
CLEAR = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
"""Transparency from left to right."""


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    """Let Pillow write a picture."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(pixels: np.ndarray = RGB, **options: Any) -> bytes:
    """Write a good JPEG."""
    return encoded(pixels, "JPEG", **{"quality": 95, "subsampling": 0, **options})


def inks(pixels: np.ndarray = RGB) -> np.ndarray:
    """CMYK, 0 where there is no ink."""
    return np.asarray(Image.fromarray(pixels).convert("CMYK"))


def segment(kind: int, content: bytes) -> bytes:
    """One part of a JPEG's header."""
    return struct.pack(">BBH", 0xFF, kind, 2 + len(content)) + content


def without(data: bytes, kind: int) -> bytes:
    """A JPEG without the first part of its header of a kind."""
    at = data.index(bytes([0xFF, kind]))
    return data[:at] + data[at + 2 + struct.unpack_from(">H", data, at + 2)[0] :]


def chunk(kind: bytes, content: bytes) -> bytes:
    """One part of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(pixels: np.ndarray, interlaced: bool = False, after: bytes = b"", size: tuple[int, int] | None = None) -> bytes:
    """A PNG of 8 or 16 bits, of 1 to 4 channels; interlaced, as Pillow writes none.

    Args:
        after: more parts, after the pixels.
        size: width and height to claim.
    """
    deep = pixels.reshape(*pixels.shape[:2], -1).astype(pixels.dtype.newbyteorder(">"))
    height, width, channels = deep.shape
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in passes for row in deep[y::dy, x::dx] if row.size)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", *(size or (width, height)), 8 * pixels.dtype.itemsize, colour, 0, 0, interlaced)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + after + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def tiff(
    pixels: np.ndarray, order: str = "<", white: int | None = None, alpha: int | None = None, kind: int = 1
) -> bytes:
    """A TIFF of any numbers, in either order of bytes, uncompressed.

    Args:
        white: its photometric interpretation; what suits the channels unless given.
        alpha: what the fourth channel is: 1 multiplied in, 2 not.
        kind: of numbers: 1 without sign, 2 with sign, 3 fractions.
    """
    deep = pixels.reshape(*pixels.shape[:2], -1)
    height, width, channels = deep.shape
    content = deep.astype(deep.dtype.newbyteorder(order)).tobytes()
    bits = 8 * deep.dtype.itemsize
    tags = [(256, 4, [width]), (257, 4, [height]), (258, 3, [bits] * channels), (259, 3, [1])]
    tags += [(262, 3, [white if white is not None else 2 if channels > 2 else 1]), (273, 4, [8])]
    tags += [(277, 3, [channels]), (278, 4, [height]), (279, 4, [len(content)])]
    tags += [(338, 3, [alpha])] if alpha is not None else []
    tags += [(339, 3, [kind] * channels)]
    begin = 8 + len(content)
    spare = begin + 2 + 12 * len(tags) + 4
    listing, more = struct.pack(order + "H", len(tags)), b""
    for name, code, values in tags:
        packed = struct.pack(f"{order}{len(values)}{'H' if code == 3 else 'I'}", *values)
        if len(packed) > 4:
            packed, more = struct.pack(order + "I", spare + len(more)), more + packed
        listing += struct.pack(order + "HHI", name, code, len(values)) + packed.ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, begin)
    return head + content + listing + bytes(4) + more


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """What EXIF's orientation makes of a stored picture, written from the standard's words."""
    return {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],  # the stored left is the right
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),  # the stored top is the left
        6: lambda p: np.rot90(p, -1),  # the stored top is the right
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: np.rot90(p, 1),
    }[orientation](pixels)


def exif(orientation: int) -> bytes:
    """EXIF data, as they follow their mark."""
    notes = Image.Exif()
    notes[0x0112] = orientation
    return notes.tobytes()


def late_exif(before: bytes) -> bytes:
    """A JPEG whose EXIF data come after something large."""
    plain = jpeg()
    return plain[:2] + before + segment(0xE1, exif(6)) + plain[2:]


def profile() -> bytes:
    """A colour profile that is not sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def paletted(transparent: bool) -> bytes:
    image = Image.fromarray(RGB).quantize(64)
    return encoded(image, "PNG", **({"transparency": 3} if transparent else {}))


def few(kind: str) -> tuple[bytes, np.ndarray]:
    """A picture of few colours, which a palette keeps."""
    image = Image.fromarray(RGB).quantize(64)
    return encoded(image, kind), np.asarray(image.convert("RGB"))


def claimed(kind: str) -> bytes:
    """A small file that claims to be huge."""
    data, size = bytearray(jpeg() if kind == "JPEG" else encoded(Image.fromarray(RGB), kind)), 60000
    if kind == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", size, size)
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", size, size)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", size, size)
    elif kind == "PPM":
        return b"P6\n60000 60000\n255\n" + bytes(1000)
    return bytes(data)


ALPHA = np.dstack([RGB, CLEAR])
BLACK_OR_WHITE = np.where(GREY > 127, np.uint8(255), np.uint8(0))
PALETTE = few("PNG")
TURNED = {orientation: turn(RGB, orientation) for orientation in range(1, 9)}
ICC = segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(60_000))
LARGE = r"is a picture of \d+ x \d+; at most 35,389,440 pixels are read"
NO_IMAGE = "is no image"

ODD: dict[str, OddImage] = {
    "grey_jpeg": OddImage(".jpg", lambda: encoded(GREY, "JPEG", quality=95), GREY_RGB, 2),
    "grey_png": OddImage(".png", lambda: png(GREY), GREY_RGB),
    "grey_png_16": OddImage(".png", lambda: png(DEEP[..., 1]), np.repeat(RGB[..., 1:2], 3, axis=2)),
    "rgb_png_16": OddImage(".png", lambda: png(DEEP), RGB),
    "rgba_png_16": OddImage(".png", lambda: png(np.dstack([DEEP, DEEP[..., :1]])), RGB),
    "la_png_16": OddImage(".png", lambda: png(DEEP[..., :2]), np.repeat(RGB[..., :1], 3, axis=2)),
    "grey_tiff_16": OddImage(".tif", lambda: tiff(DEEP[..., 1]), np.repeat(RGB[..., 1:2], 3, axis=2)),
    "grey_tiff_16_big_end": OddImage(".tif", lambda: tiff(DEEP[..., 1], ">"), np.repeat(RGB[..., 1:2], 3, axis=2)),
    "white_is_zero_16": OddImage(".tif", lambda: tiff(65535 - DEEP[..., 1], white=0), np.repeat(RGB[..., 1:2], 3, 2)),
    "rgb_tiff_16": OddImage(".tiff", lambda: tiff(DEEP), RGB),
    "rgb_tiff_16_big_end": OddImage(".tiff", lambda: tiff(DEEP, ">"), RGB),
    "float_tiff": OddImage(".tif", lambda: tiff((GREY / 255).astype(np.float32), kind=3), GREY_RGB),
    "float_tiff_beyond": OddImage(".tif", lambda: tiff(GREY.astype(np.float32), kind=3), None, 0, r"fractions from \d"),
    "float_tiff_nan": OddImage(".tif", lambda: tiff(GREY * np.float32("nan"), kind=3), None, 0, "fractions from nan"),
    "whole_tiff_32": OddImage(".tif", lambda: tiff(GREY.astype(np.uint32)), None, 0, "whose white is unknown"),
    "signed_tiff_16": OddImage(".tif", lambda: tiff(GREY.astype(np.int16), kind=2), None, 0, "whose white is unknown"),
    "float_tiff_rgb": OddImage(".tif", lambda: tiff(RGB.astype(np.float32), kind=3), None, 0, NO_IMAGE),
    "cmyk_jpeg": OddImage(".jpg", lambda: jpeg(Image.fromarray(inks(), "CMYK")), RGB, 2),
    "cmyk_jpeg_unmarked": OddImage(".jpg", lambda: without(jpeg(Image.fromarray(255 - inks(), "CMYK")), 0xEE), RGB, 2),
    "ycck_jpeg": OddImage(".jpg", lambda: simplejpeg.encode_jpeg(255 - inks(), 95, "CMYK", "444"), RGB, 3),
    "cmyk_jpeg_turned": OddImage(".jpg", lambda: jpeg(Image.fromarray(inks(), "CMYK"), exif=exif(8)), TURNED[8], 2),
    "cmyk_tiff": OddImage(".tif", lambda: encoded(Image.fromarray(inks(), "CMYK"), "TIFF"), RGB, 1),
    "rgb_jpeg": OddImage(".jpg", lambda: jpeg(keep_rgb=True), RGB, 2),
    "progressive": OddImage(".jpg", lambda: jpeg(progressive=True), RGB, 2),
    "optimized": OddImage(".jpeg", lambda: jpeg(optimize=True), RGB, 2),
    **{
        f"sampled_{name}": OddImage(".jpg", lambda name=name: simplejpeg.encode_jpeg(RGB, 95, "RGB", name), RGB, 6)
        for name in ("420", "422", "440", "411")
    },
    "restarts": OddImage(".jpg", lambda: jpeg(restart_marker_blocks=1), RGB, 2),
    "restarts_by_row": OddImage(".jpg", lambda: jpeg(restart_marker_rows=1, progressive=True), RGB, 2),
    "twelve_bit_jpeg": OddImage(
        ".jpg", lambda: jpeg().replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), None, 0, "is damaged"
    ),
    "palette": OddImage(".png", lambda: PALETTE[0], PALETTE[1]),
    "palette_transparent": OddImage(".png", lambda: paletted(True), PALETTE[1]),
    "gif": OddImage(".png", lambda: few("GIF")[0], PALETTE[1]),
    "one_bit": OddImage(
        ".png", lambda: encoded(Image.fromarray(GREY > 127), "PNG"), np.repeat(BLACK_OR_WHITE[:, :, None], 3, axis=2)
    ),
    "grey_alpha": OddImage(".png", lambda: png(np.dstack([GREY, CLEAR])), GREY_RGB),
    "rgb_alpha": OddImage(".png", lambda: png(ALPHA), RGB),
    "rgb_alpha_webp": OddImage(".webp", lambda: encoded(ALPHA, "WEBP", lossless=True, exact=True), RGB),
    "alpha_multiplied_in": OddImage(
        ".tif",
        lambda: tiff(np.dstack([RGB // 2, np.full((HEIGHT, WIDTH), 127, np.uint8)]), alpha=1),
        RGB,
        2,
    ),
    **{f"turned_{way}_jpeg": OddImage(".jpg", lambda way=way: jpeg(exif=exif(way)), TURNED[way], 2) for way in TURNED},
    **{
        f"turned_{way}_png": OddImage(".png", lambda way=way: encoded(RGB, "PNG", exif=exif(way)), TURNED[way])
        for way in TURNED
    },
    **{
        f"turned_{way}_webp": OddImage(
            ".webp", lambda way=way: encoded(RGB, "WEBP", lossless=True, exif=exif(way)), TURNED[way]
        )
        for way in TURNED
    },
    "turned_png_late": OddImage(".png", lambda: png(RGB, after=chunk(b"eXIf", exif(6)[6:])), TURNED[6]),
    "turned_tiff": OddImage(".tif", lambda: encoded(RGB, "TIFF", tiffinfo={0x0112: 6}), TURNED[6]),
    "turned_16_bit": OddImage(".png", lambda: encoded(DEEP[..., 1], "PNG", exif=exif(6)), turn(RGB, 6)[..., [1, 1, 1]]),
    "turned_after_profile": OddImage(".jpg", lambda: late_exif(ICC), TURNED[6], 2),
    "turned_after_notes": OddImage(".jpg", lambda: late_exif(segment(0xFE, b"Exif" * 2000)), TURNED[6], 2),
    "turned_after_filling": OddImage(".jpg", lambda: late_exif(b"\xff" * 9), TURNED[6], 2),
    "exif_damaged": OddImage(".jpg", lambda: jpeg(exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), RGB, 2),
    "exif_of_nonsense": OddImage(".jpg", lambda: jpeg(exif=exif(99)), RGB, 2),
    "exif_in_the_pixels": OddImage(".jpg", lambda: jpeg() + segment(0xE1, exif(6)), RGB, 2),
    "profile": OddImage(".jpg", lambda: jpeg(icc_profile=profile()), RGB, 2),
    "profile_png": OddImage(".png", lambda: encoded(RGB, "PNG", icc_profile=profile()), RGB),
    "wide": OddImage(".png", lambda: png(smooth(2, 9000)), smooth(2, 9000)),
    "tall_jpeg": OddImage(
        ".jpg", lambda: jpeg(np.full((9000, 1, 3), 77, np.uint8)), np.full((9000, 1, 3), 77, np.uint8), 2
    ),
    "one_pixel": OddImage(".png", lambda: png(RGB[:1, :1]), RGB[:1, :1]),
    "one_pixel_jpeg": OddImage(".jpg", lambda: jpeg(RGB[:1, :1]), RGB[:1, :1], 3),
    "interlaced": OddImage(".png", lambda: png(RGB, interlaced=True), RGB),
    "interlaced_16": OddImage(".png", lambda: png(DEEP, interlaced=True), RGB),
    "moving_png": OddImage(
        ".png", lambda: encoded(RGB, "PNG", save_all=True, append_images=[Image.fromarray(255 - RGB)]), RGB
    ),
    "moving_webp": OddImage(
        ".webp",
        lambda: encoded(RGB, "WEBP", lossless=True, save_all=True, append_images=[Image.fromarray(255 - RGB)]),
        RGB,
    ),
    "pages": OddImage(
        ".tif", lambda: encoded(RGB, "TIFF", save_all=True, append_images=[Image.fromarray(255 - RGB)]), RGB
    ),
    "garbage_after": OddImage(".jpg", lambda: jpeg() + b"garbage" * 999, RGB, 2),
    "two_in_one": OddImage(".jpg", lambda: jpeg() + jpeg(255 - RGB), RGB, 2),
    "png_named_jpg": OddImage(".jpg", lambda: png(RGB), RGB),
    "jpeg_named_png": OddImage(".png", jpeg, RGB, 2),
    "cut_by_one": OddImage(".jpg", lambda: jpeg()[:-1], None, 0, "is damaged"),
    "cut_by_half": OddImage(".jpg", lambda: jpeg()[: len(jpeg()) // 2], None, 0, "is damaged"),
    "cut_cmyk": OddImage(".jpg", lambda: jpeg(Image.fromarray(inks(), "CMYK"))[:-2], None, 0, "is damaged"),
    "cut_turned": OddImage(".jpg", lambda: jpeg(exif=exif(6))[:-2], None, 0, "is damaged"),
    "cut_png": OddImage(".png", lambda: png(RGB)[: len(png(RGB)) // 2], None, 0, "is damaged"),
    "cut_tiff": OddImage(".tif", lambda: encoded(RGB, "TIFF")[:5000], None, 0, "is damaged|is no image"),
    "cut_webp": OddImage(
        ".webp", lambda: encoded(RGB, "WEBP", lossless=True)[:2000], None, 0, "is damaged|is no image"
    ),
    "empty": OddImage(".jpg", lambda: b"", None, 0, "is empty"),
    "text": OddImage(".jpg", lambda: b"no picture\n" * 20, None, 0, NO_IMAGE),
    "page": OddImage(".jpg", lambda: b"<!DOCTYPE html><html><body>404 Not Found</body></html>", None, 0, NO_IMAGE),
    "drawing": OddImage(".png", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', None, 0, NO_IMAGE),
    "jpeg_2000": OddImage(".jpg", lambda: encoded(RGB, "JPEG2000"), None, 0, NO_IMAGE),
    "huge_jpeg": OddImage(".jpg", lambda: claimed("JPEG"), None, 0, LARGE),
    "huge_png": OddImage(".png", lambda: png(RGB, size=(9000, 9000)), None, 0, LARGE),
    "bomb_png": OddImage(".png", lambda: png(RGB, size=(60000, 60000)), None, 0, "claims to be far larger"),
    **{
        f"huge_{kind.lower()}": OddImage(".bmp", lambda kind=kind: claimed(kind), None, 0, "claims to be far larger")
        for kind in ("GIF", "BMP", "PPM")
    },
}
