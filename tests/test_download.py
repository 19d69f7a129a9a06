import hashlib
import socket
import subprocess
import sys
from http.client import IncompleteRead
from pathlib import Path

import pytest
import torch

from dfer.download import PATIENCE, cached, download
from dfer.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def served(folder: Path, content: bytes, name: str = "model.pth") -> tuple[str, Path]:
    file = folder / name
    file.write_bytes(content)
    return file.as_uri(), file


def test_a_file_is_kept_by_its_name_without_what_asks_for_it(cache: Path) -> None:
    assert cached("https://somewhere.org/a/model.tflite?version=1") == cache / "model.tflite"


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError("Network is unreachable"), "Network is unreachable"), (TimeoutError("timed out"), "timed out")],
)
def test_no_network_gives_one_line(monkeypatch: pytest.MonkeyPatch, cache: Path, error: Exception, reason: str) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    for instead in ("give its path as weights", "take another"):
        with pytest.raises(
            InputError, match=rf"cannot fetch https://a/b.pth \({reason}\); .* and {instead}$"
        ) as caught:
            download("https://a/b.pth", instead=instead)
        assert "\n" not in str(caught.value)
    assert not list(cache.iterdir())


def test_a_download_cut_short_gives_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*args: object) -> None:
        raise IncompleteRead(b"abc", 1000)

    monkeypatch.setattr(torch.hub, "download_url_to_file", cut)
    with pytest.raises(InputError, match=r"cannot fetch https://a/b.pth \(IncompleteRead"):
        download("https://a/b.pth")


def test_a_silent_server_is_given_up_and_the_limit_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*args: object) -> None:
        assert socket.getdefaulttimeout() == PATIENCE
        raise TimeoutError("timed out")

    before = socket.getdefaulttimeout()
    monkeypatch.setattr(torch.hub, "download_url_to_file", silent)
    with pytest.raises(InputError, match="timed out"):
        download("https://a/b.pth")
    assert socket.getdefaulttimeout() == before


def test_a_download_is_recorded_then_verified(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    url, source = served(tmp_path, b"first")
    digest = hashlib.sha256(b"first").hexdigest()
    assert download(url).read_bytes() == b"first"
    assert f"recorded SHA-256 {digest}" in caplog.text
    caplog.clear()
    source.unlink()
    assert download(url) == cache / "model.pth"  # from the cache
    assert not caplog.text
    (cache / "model.pth").write_bytes(b"other")
    with pytest.raises(InputError, match=f"not {digest}; delete it"):
        download(url)


def test_a_given_digest_and_one_in_the_name_are_checked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    digest = hashlib.sha256(b"content").hexdigest()
    url, _ = served(tmp_path, b"content")
    assert download(url, digest).is_file()
    with pytest.raises(InputError, match="not " + "0" * 64):
        download(url, "0" * 64)
    assert download(served(tmp_path, b"content", f"net-{digest[:8]}.pth")[0]).is_file()
    with pytest.raises(InputError, match="not 01234567"):
        download(served(tmp_path, b"content", "net-01234567.pth")[0])


def test_importing_it_takes_no_torch() -> None:
    code = "import sys, dfer.download; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
