import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from dfer.cli import main
from dfer.runs import RunFolder

PROGRAM = """
import socket, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import fake_recogniser
from dfer.serve.command import run
from dfer.serve.settings import Settings
if __name__ == "__main__":
    sys.exit(run(Settings(), getattr(fake_recogniser, sys.argv[2]), socket.create_server(("127.0.0.1", 0))))
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A service in a process of its own, as people start it, with its own folder for temporary files."""
    (tmp_path / "temporary").mkdir()
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(tmp_path / "program.py"), str(Path(__file__).parent), "Fake"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=environment)
    yield process
    process.kill()
    process.communicate()


def address(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    line = process.stdout.readline()
    found = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/ is ready; Ctrl-C ends it\n", line)
    assert found, line
    return found[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_leaving_nothing(
    number: signal.Signals, started: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    url = address(started)
    answer = httpx.get(url)
    assert answer.status_code == 200
    assert "server" not in answer.headers
    workers = psutil.Process(started.pid).children(recursive=True)
    assert workers
    started.send_signal(number)
    out, err = started.communicate(timeout=20)
    assert (started.returncode, out, err) == (0, "", "")
    psutil.wait_procs(workers, timeout=10)
    assert not [worker for worker in workers if worker.is_running()]
    assert not list((tmp_path / "temporary").glob("dfer-*"))


def test_workers_end_when_the_server_is_killed(started: "subprocess.Popen[str]") -> None:
    address(started)
    workers = psutil.Process(started.pid).children(recursive=True)
    started.kill()
    gone, alive = psutil.wait_procs(workers, timeout=15)
    assert gone
    assert not alive


@pytest.mark.parametrize("order", ["sleep 60", "hang 2"])
def test_no_upload_is_left_when_the_server_is_killed(
    order: str, started: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    url, uploads = address(started), tmp_path / "temporary"
    sender = threading.Thread(target=_send, args=(url, order))
    sender.start()
    until = time.monotonic() + 10
    while not [path for path in uploads.rglob("upload-*") if path.stat().st_size]:
        assert time.monotonic() < until
        time.sleep(0.01)
    workers = psutil.Process(started.pid).children(recursive=True)
    started.kill()
    sender.join()
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    assert list(uploads.iterdir()) == []


def _send(url: str, order: str) -> None:
    with suppress(httpx.TransportError):  # the server is killed meanwhile
        httpx.post(f"{url}/v1/predict", files={"video": order.encode()}, timeout=30)


def test_no_room_for_uploads_is_told_in_one_line(tmp_path: Path, finished: RunFolder) -> None:
    code = "import tempfile, sys; tempfile.tempdir = '/no/such/folder'; from dfer.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "serve", "--model", str(finished.path), "--port", "0"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stdout) == (2, "")
    assert "/no/such/folder" in found.stderr
    assert found.stderr.count("\n") == 1


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["serve", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


def test_without_a_model_it_says_how_to_train_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "dfer train" in refusal(capsys)


def test_a_model_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "no.onnx not found; give a run's folder" in refusal(capsys, "--model", str(tmp_path / "no.onnx"))


def test_a_model_that_is_none_is_refused_by_the_worker(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert "is no run folder" in refusal(capsys, "--model", str(tmp_path / "run"), "--port", "0")


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str], finished: RunFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        text = refusal(capsys, "--model", str(finished.path), "--port", port)
    assert f"port {port} of 127.0.0.1 is in use; choose another with --port" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "99999"], "--port is 99999; it must be 0 to 65535"),
        (["--port", "-1"], "--port is -1"),
        (["--host", "no-such-host.invalid"], "cannot listen at no-such-host.invalid"),
        (["--host", "192.0.2.1"], "cannot listen at 192.0.2.1, port 8000: "),
        (["--workers", "0"], "--workers is 0; it must be more than 0"),
        (["--deadline", "nan"], "--deadline is nan; it must be more than 0"),
        (["--queue", "-1"], "--queue is -1"),
    ],
)
def test_numbers_and_hosts_that_cannot_be_are_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], finished: RunFolder
) -> None:
    assert words in refusal(capsys, "--model", str(finished.path), *arguments)


def test_a_missing_extra_is_named(
    capsys: pytest.CaptureFixture[str], finished: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfer.serve.command.find_spec", lambda name: None if name == "fastapi" else object())
    text = refusal(capsys, "--model", str(finished.path))
    assert "the service needs fastapi; run pip install 'dfer[serve]'" in text


def test_other_machines_are_let_in_with_a_warning(
    capsys: pytest.CaptureFixture[str], finished: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("dfer.serve.command.run", lambda settings, build, listener: asked.append(settings) or 0)
    assert main(["serve", "--model", str(finished.path), "--host", "0.0.0.0", "--port", "0"]) == 0
    assert "can be reached from other machines, and nothing asks for a password" in capsys.readouterr().err
    assert asked[0].hosts == ()
    assert main(["serve", "--model", str(finished.path), "--port", "0", "--hosts", "Faces.example"]) == 0
    assert capsys.readouterr().err == ""
    assert asked[1].hosts == ("127.0.0.1", "::1", "faces.example", "localhost")
