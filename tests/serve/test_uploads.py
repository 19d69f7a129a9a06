import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect, Request

from dfer.serve.desk import Visit
from dfer.serve.problems import RequestError
from dfer.serve.uploads import check_length, received, shown_name

FORM = "multipart/form-data; boundary=xyz"


def part(content: bytes = b"0123456789", field: str = "video", name: str | None = "a.mp4") -> bytes:
    claimed = "" if name is None else f'; filename="{name}"'
    return f'--xyz\r\nContent-Disposition: form-data; name="{field}"{claimed}\r\n\r\n'.encode() + content + b"\r\n"


END = b"--xyz--\r\n"


def request(
    chunks: Iterable[bytes] = (), content_type: str | None = FORM, leaves: bool = False, **headers: str
) -> Request:
    pieces = list(chunks)
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    if content_type is not None:
        given.append((b"content-type", content_type.encode()))

    async def receive() -> dict[str, object]:
        if not pieces and leaves:
            return {"type": "http.disconnect"}
        body = pieces.pop(0) if pieces else b""
        return {"type": "http.request", "body": body, "more_body": bool(pieces) or leaves}

    return Request({"type": "http", "method": "POST", "headers": given}, receive)


def receive(folder: Path, made: Request, limit: int = 1000, visit: Visit | None = None) -> tuple[bytes, str]:
    """Receive it, look at the file, and at what is left."""

    async def run() -> tuple[bytes, str]:
        async with received(made, folder, limit, visit or Visit()) as upload:
            assert upload.path.parent == folder
            assert upload.path.name.startswith("upload-")
            assert upload.path.stat().st_mode & 0o077 == 0
            return upload.path.read_bytes(), upload.name

    try:
        return asyncio.run(run())
    finally:
        assert not list(folder.iterdir())


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_video_arrives_whole_however_it_is_cut(size: int, tmp_path: Path) -> None:
    content = bytes(range(256)) + b"\r\n--xy" * 3
    body = part(content) + END
    cut = [body[at : at + size] for at in range(0, len(body), size)]
    assert receive(tmp_path, request(cut)) == (content, "a.mp4")


def test_the_boundary_alone_ends_it(tmp_path: Path) -> None:
    content = b"--xyz\r\n--xy\r\nxyz--" * 20
    assert receive(tmp_path, request([part(content) + END])) == (content, "a.mp4")


def test_large_ones_are_written_in_pieces(tmp_path: Path) -> None:
    chunk, visit = b"0123456789abcdef" * 4096, Visit()
    pieces = [part(b"")[:-2], *([chunk] * 50), b"\r\n" + END]
    content, _ = receive(tmp_path, request(pieces, content_length="123456789"), 10**8, visit)
    assert content == chunk * 50
    assert visit.stage == "uploading"
    assert visit.done == sum(map(len, pieces))
    assert visit.total == 123456789


@pytest.mark.parametrize(
    ("chunks", "content_type", "code", "words"),
    [
        ([b"0123"], "video/mp4", "not_multipart", "no multipart form"),
        ([b"0123"], None, "not_multipart", "no multipart form"),
        ([b"0123"], "multipart/form-data", "not_multipart", "no multipart form"),
        ([b"0123"], FORM, "not_multipart", "damaged"),
        ([], FORM, "not_multipart", "empty or cut off"),
        ([b""], FORM, "not_multipart", "empty or cut off"),
        ([part()], FORM, "not_multipart", "empty or cut off"),
        ([part() + b"--xyz"], FORM, "not_multipart", "empty or cut off"),
        ([b"--xyz\r\nbad header\r\n\r\n" + END], FORM, "not_multipart", "damaged"),
        ([b"--xyz\r\n" + b"A: b\r\n" * 100], FORM, "not_multipart", "damaged"),
        ([b"--xyz\r\nA: " + b"b" * 9000], FORM, "not_multipart", "damaged"),
        ([END], FORM, "no_video_field", "no field 'video'"),
        ([part(field="file") + END], FORM, "bad_form", "field 'file', which is not known"),
        ([part(field="window", name=None) + part() + END], FORM, "bad_form", "options in the address"),
        ([b"--xyz\r\nContent-Type: video/mp4\r\n\r\n0\r\n" + END], FORM, "bad_form", "not known"),
        ([part() + part() + END], FORM, "bad_form", "more than one"),
        ([b"x"], f"multipart/form-data; boundary={'x' * 300}", "not_multipart", "boundary is too long"),
    ],
)  # fmt: skip
def test_what_is_no_form_with_a_video_is_refused_in_one_line(
    chunks: list[bytes], content_type: str | None, code: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        receive(tmp_path, request(chunks, content_type))
    assert (caught.value.status, caught.value.code) == (422, code)
    assert "\n" not in caught.value.message
    assert "video" in caught.value.message


def test_as_many_bytes_as_the_limit_and_no_more(tmp_path: Path) -> None:
    assert len(receive(tmp_path, request([part(bytes(1000)) + END]))[0]) == 1000
    with pytest.raises(RequestError, match=r"larger than 0\.001 MB") as caught:
        receive(tmp_path, request([part(bytes(1001)) + END]))
    assert (caught.value.status, caught.value.code) == (413, "too_large")


def test_a_body_without_end_is_refused_when_it_is_too_large(tmp_path: Path) -> None:
    def endless() -> Iterable[bytes]:
        return [b"\r\n" * 4096] * 1000  # before the form begins: nothing that the form's reader would count

    with pytest.raises(RequestError) as caught:
        receive(tmp_path, request(endless()))
    assert caught.value.status == 413


def test_a_length_that_is_said_to_be_too_large_is_refused_unread() -> None:
    check_length(request(content_length="17000"), 1000)
    check_length(request(content_length="many"), 1000)
    check_length(request(), 1000)
    with pytest.raises(RequestError, match=r"larger than 0\.001 MB"):
        check_length(request(content_length="17385"), 1000)


def test_nothing_is_left_when_the_client_leaves(tmp_path: Path) -> None:
    with pytest.raises(ClientDisconnect):
        receive(tmp_path, request([part()], leaves=True))


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dfer.serve.uploads.asyncio.to_thread", full)
    with pytest.raises(RequestError, match=r"could not be stored .No space left on device\)$") as caught:
        receive(tmp_path, request([part() + END]))
    assert (caught.value.status, caught.value.code) == (507, "no_room")


@pytest.mark.parametrize(
    ("claimed", "shown"),
    [
        ("clip.mp4", "clip.mp4"),
        ("/etc/passwd", "passwd"),
        ("..", ".."),
        ("C:\\films\\a.mp4", "a.mp4"),
        ("a\x00\x1b[31m.mp4", "a[31m.mp4"),
        ("two\nlines.mp4", "twolines.mp4"),
        ("%22a%0D%0A%25d.mp4", '"a%25d.mp4'),
        ("\u202egpj.exe", "gpj.exe"),
        (" 😀 表 é.mp4 ", "😀 表 é.mp4"),
        ("", "video"),
        ("x" * 500, "x" * 100),
        ("<script>alert(1)<b>", "<script>alert(1)<b>"),
    ],
)
def test_names_are_shown_but_never_used(claimed: str, shown: str, tmp_path: Path) -> None:
    assert shown_name(claimed) == shown


def test_names_arrive_as_they_were_sent(tmp_path: Path) -> None:
    body = part(name='😀 表 \\"é\\".mp4') + END
    assert receive(tmp_path, request([body]))[1] == '😀 表 "é".mp4'
    assert receive(tmp_path, request([part(name=None) + END]))[1] == "video"
    odd = part().replace(b"a.mp4", b"\xff\xfe.mp4") + END
    assert receive(tmp_path, request([odd]))[1] == "��.mp4"
