"""A raw video from its file to a timeline: how much quicker than it plays, and where the time goes.

Draws a face that moves about a 640x360 picture, then runs the whole path with a light model (R3D-18 of quarter width,
16 frames of 112 px, a window every half second): eager float32, bfloat16 and the exported file in turns, medians of the
rounds. Shares are of the float32 run. BlazeFace needs its model file (``--detector-model``); without one the cascade
finds the faces, more slowly. ``--minutes 60`` gives `dfer predict` an hour of it and prints the memory that this took.

    python benchmarks/video.py [--seconds 20] [--rounds 3] [--minutes 0] [--detector-model FILE] [--json]
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from dfer.backbones import r3d_18
from dfer.datasets import SyntheticFaces
from dfer.export.onnx import export_onnx
from dfer.inference import Pipeline, load_classifier
from dfer.models import Recognizer, checkpoint
from dfer.models.exported import Exported
from dfer.transforms import EvalTransform
from dfer.video import write_video
from dfer.video.find_detector import find_detector

FPS, WIDTH, HEIGHT, SIDE = 25, 640, 360, 224


def frames_of(seconds: float) -> Iterator[NDArray[np.uint8]]:
    """Draw a face that wanders over a grey picture and shows the same expression again and again."""
    faces = SyntheticFaces("test", size=SIDE, preset="easy", clips=35, transform=EvalTransform(25, SIDE))
    clip = faces[0].clip.permute(0, 2, 3, 1).numpy()  # (T, S, S, 3)
    there_and_back = np.concatenate([clip, clip[::-1]])
    for number in range(round(seconds * FPS)):
        picture = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
        left = round((WIDTH - SIDE) * (0.5 + 0.4 * np.sin(number / 60)))
        picture[70 : 70 + SIDE, left : left + SIDE] = there_and_back[number % len(there_and_back)]
        yield picture


def repeat(short: Path, long: Path, times: int) -> None:
    """Write a video several times one after another without encoding it again."""
    with av.open(str(short)) as source, av.open(str(long), "w", format="mp4") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.size]
        length = max(packet.pts + packet.duration for packet in packets)
        content = [(bytes(one), one.pts, one.dts, one.duration, one.is_keyframe) for one in packets]
        for turn in range(times):
            for data, pts, dts, duration, is_key in content:
                packet = av.Packet(data)
                packet.pts, packet.dts, packet.duration = pts + turn * length, dts + turn * length, duration
                packet.time_base, packet.is_keyframe, packet.stream = stream.time_base, is_key, copy
                target.mux(packet)


class Timed:
    """A part of the pipeline that knows how long it took."""

    def __init__(self, part: Any, method: str = "__call__") -> None:
        self.part, self.method, self.seconds = part, method, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.part, name)

    def _timed(self, *arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return getattr(self.part, self.method)(*arguments)
        finally:
            self.seconds += time.perf_counter() - start

    def __call__(self, *arguments: Any) -> Any:
        return self._timed(*arguments)

    def logits(self, clip: Any) -> Any:
        return self._timed(clip)


def light_model(folder: Path) -> tuple[Path, Path]:
    """Write a light model with fresh weights as a checkpoint and as ONNX."""
    backbone = {"class_path": "dfer.backbones.r3d_18", "init_args": {"width": 0.25}}
    config = {"class_path": "dfer.models.Recognizer", "init_args": {"backbone": backbone}}
    torch.manual_seed(0)
    model = Recognizer(r3d_18(width=0.25)).eval()
    native, exported = folder / "light.safetensors", folder / "light.onnx"
    checkpoint.save(model, native, config=config, about={})
    export_onnx(model, exported, Exported("dfer.models.Recognizer", model.input_spec))
    return native, exported


def peak_memory(command: list[str]) -> float:
    """Run a command and give the most memory that it took, in GB."""
    most = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            with suppress(psutil.Error):
                most = max(most, watched.memory_info().rss)
            time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"`{shlex.join(command)}` ended with status {process.returncode}")
    return most / 1e9


def measure(seconds: float, rounds: int, minutes: float, model_file: Path | None) -> dict[str, Any]:
    """Time the path in three ways, in turns."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = folder / "drawn.mp4"
        write_video(video, frames_of(seconds), FPS)
        native, exported = light_model(folder)
        detector = find_detector("auto" if model_file is None else "blaze_face", model_file)
        ways = {
            "float32": load_classifier(native),
            "bfloat16": load_classifier(native, precision="bfloat16"),
            "onnx": load_classifier(exported),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        model_times: dict[str, list[float]] = {way: [] for way in ways}
        shares = []
        for _ in range(rounds):
            for way, classifier in ways.items():
                timed_model, timed_detector = Timed(classifier, "logits"), Timed(detector)
                pipeline = Pipeline(timed_model, timed_detector)
                start = time.perf_counter()
                timeline = pipeline(video)
                taken = time.perf_counter() - start
                if len(timeline.faces) != 1 or timeline.empty:
                    raise SystemExit(f"{len(timeline.faces)} faces and gaps {timeline.empty} in a video of one face")
                times[way].append(taken)
                model_times[way].append(timed_model.seconds)
                if way == "float32":
                    shares.append((timed_detector.seconds / taken, timed_model.seconds / taken))
        median = {way: statistics.median(of) for way, of in times.items()}
        found = {
            "detector": detector.name,
            "threads": torch.get_num_threads(),
            "real_time": {way: seconds / of for way, of in median.items()},
            "against_float32": {way: median["float32"] / of for way, of in median.items()},
            "model_against_float32": {
                way: statistics.median(model_times["float32"]) / statistics.median(of)
                for way, of in model_times.items()
            },
            "share_of_detection": statistics.median(share for share, _ in shares),
            "share_of_model": statistics.median(share for _, share in shares),
        }
        if minutes:
            long = folder / "long.mp4"
            repeat(video, long, round(minutes * 60 / seconds))
            command = [sys.executable, "-m", "dfer.cli", "predict", str(long), "--model", str(native)]
            command += ["--out", str(folder / "out"), "--detector", detector.name]
            command += ["--detector-model", str(model_file)] if model_file else []
            found["minutes"] = minutes
            found["gigabytes"] = peak_memory(command)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--detector-model", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.seconds, arguments.rounds, arguments.minutes, arguments.detector_model)
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{WIDTH}x{HEIGHT}, {FPS} frames/s, one face; {found['detector']}; {found['threads']} threads")
    for way, factor in found["real_time"].items():
        print(
            f"{way:9} {factor:5.1f} times as fast as the video plays, {found['against_float32'][way]:.2f} of float32's "
            f"speed (the model alone {found['model_against_float32'][way]:.2f})"
        )
    print(f"float32: detection {found['share_of_detection']:.0%} of the time, the model {found['share_of_model']:.0%}")
    if "gigabytes" in found:
        print(f"{found['minutes']:.0f} minutes of video: {found['gigabytes']:.2f} GB at most")


if __name__ == "__main__":
    main()
