"""The service at ten times the rate that it can do, from a second process on loopback.

Starts ``dfer serve`` with a light untrained model (R3D-18 of quarter width, 8 frames of 64 px; or ``--model``), sends
a two-second video again and again for its rate, then sends at a fixed multiple of that rate, ready or not, while a
third process asks /healthz every 50 ms. Prints how many were answered and how (wanted: 200 and 429 alone), the longest
and the 99th percentile of health answers (bounds: 50 ms) and refusals (100 ms), each with its connection and its
upload, and the memory of the server and its worker before and after.

    python benchmarks/serve.py [--seconds 10] [--times 10] [--model RUN] [--video FILE] [--detector cascade] [--json]
"""

import argparse
import asyncio
import json
import math
import multiprocessing
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from dfer.backbones import r3d_18
from dfer.models import Recognizer, checkpoint
from dfer.video import write_video

BOUNDARY = "dfer-benchmark"
WARM = 10
HEALTH_EVERY = 0.05


def make_model(folder: Path) -> Path:
    """Write an untrained light model."""
    torch.manual_seed(0)
    init = {"num_classes": 7, "frames": 8, "size": 64}
    backbone = {"class_path": "dfer.backbones.r3d_18", "init_args": {"width": 0.25, "weights": None}}
    model = Recognizer(r3d_18(width=0.25, weights=None), **init)
    config = {"class_path": "dfer.models.Recognizer", "init_args": {"backbone": backbone, **init}}
    checkpoint.save(model, folder / "model.safetensors", config=config, about={})
    return folder / "model.safetensors"


def make_video(folder: Path) -> Path:
    """Write two seconds of 320x180 with some grain: a hundred kilobytes or so."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(60, 190, (9, 16, 3)).repeat(20, 0).repeat(20, 1)
    frames = [(coarse + number + rng.normal(0, 8, coarse.shape)).clip(0, 255).astype(np.uint8) for number in range(50)]
    write_video(folder / "film.mp4", frames, fps=25)
    return folder / "film.mp4"


@contextmanager
def serving(model: Path, detector: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start the service on a free port; ends it, too."""
    command = [sys.executable, "-m", "dfer.cli", "serve", "--model", str(model), "--detector", detector, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        found = re.search(r":(\d+)/ is ready", line)
        if not found:
            raise SystemExit(f"the service did not start: {line}")
        yield process, int(found[1])
    finally:
        process.terminate()
        process.wait(30)


def message(video: Path) -> bytes:
    """Write the request that uploads a video."""
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="video"; filename="film.mp4"\r\n\r\n'
    body = part.encode() + video.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()
    head = (
        "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def ask(port: int, request: bytes) -> tuple[int, float]:
    """Send a request on a connection of its own; gives the status and the seconds to the end of the answer."""
    start = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)  # the answer may come before all of it is sent
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        await reader.readexactly(int(length[1]) if length else 0)
        return int(head[9:12]), time.perf_counter() - start
    finally:
        writer.close()


async def rate_of(port: int, request: bytes, seconds: float) -> float:
    """Send one video after the other; gives how many a second."""
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        status, _ = await ask(port, request)
        if status != 200:
            raise SystemExit(f"the service answered {status} when it had nothing else to do")
        count += 1
    return count / (time.perf_counter() - start)


async def flood(port: int, request: bytes, rate: float, seconds: float) -> list[tuple[int, float]]:
    """Send at a rate, whatever comes back."""
    start, tasks = time.perf_counter(), []
    for number in range(round(rate * seconds)):
        await asyncio.sleep(start + number / rate - time.perf_counter())
        tasks.append(asyncio.create_task(ask(port, request)))
    return list(await asyncio.gather(*tasks))


def watch_health(port: int, seconds: float, pipe: Any) -> None:
    """Ask for health all the while; sends the seconds that each answer took."""

    async def run() -> list[float]:
        start, found = time.perf_counter(), []
        while time.perf_counter() - start < seconds:
            status, spent = await ask(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            found.append(spent if status == 200 else math.inf)
            await asyncio.sleep(HEALTH_EVERY)
        return found

    pipe.send(asyncio.run(run()))


def milliseconds(times: Sequence[float]) -> dict[str, float]:
    """Sum up how long answers took."""
    if not times:
        return {"count": 0}
    ordered = sorted(1000 * one for one in times)
    at = math.ceil(0.99 * len(ordered)) - 1
    return {"count": len(ordered), "median": statistics.median(ordered), "p99": ordered[at], "longest": ordered[-1]}


def memory(process: psutil.Process) -> dict[str, float]:
    """Give megabytes of the server and of its worker, the largest of its children."""
    children = [child.memory_info().rss for child in process.children(recursive=True)]
    return {"server_mb": process.memory_info().rss / 1e6, "worker_mb": max(children, default=0) / 1e6}


def measure(model: Path, video: Path, detector: str, seconds: float, times: float) -> dict[str, Any]:
    """Run the whole benchmark."""
    request = message(video)
    with serving(model, detector) as (process, port):
        server = psutil.Process(process.pid)
        for _ in range(WARM):
            asyncio.run(ask(port, request))
        rate = asyncio.run(rate_of(port, request, max(1.0, seconds / 3)))
        asyncio.run(flood(port, request, times * rate, 1.0))
        before = memory(server)
        near, far = multiprocessing.Pipe()
        watcher = multiprocessing.Process(target=watch_health, args=(port, seconds, far))
        watcher.start()
        answers = asyncio.run(flood(port, request, times * rate, seconds))
        health = near.recv()
        watcher.join()
        return {
            "rate": rate,
            "sent_per_second": times * rate,
            "statuses": dict(Counter(str(status) for status, _ in answers)),
            "health_ms": milliseconds(health),
            "refusals_ms": milliseconds([spent for status, spent in answers if status == 429]),
            "before": before,
            "after": memory(server),
        }


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--times", type=float, default=10)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--video", type=Path)
    parser.add_argument("--detector", default="whole_frame")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, video = options.model or make_model(folder), options.video or make_video(folder)
        found = measure(model, video, options.detector, options.seconds, options.times)
    if options.json:
        print(json.dumps(found))
        return
    print(f"alone {found['rate']:.1f} videos/s; sent {found['sent_per_second']:.0f} a second for {options.seconds:g} s")
    print("answers: " + ", ".join(f"{count} x {status}" for status, count in sorted(found["statuses"].items())))
    for name in ("health", "refusals"):
        row = found[f"{name}_ms"]
        print(
            f"{name}: {row['count']}, median {row['median']:.1f}, p99 {row['p99']:.1f}, longest {row['longest']:.1f} ms"
        )
    for name in ("server_mb", "worker_mb"):
        print(f"{name}: {found['before'][name]:.0f} before, {found['after'][name]:.0f} after")


if __name__ == "__main__":
    main()
