"""What is lost between a clip as it was drawn and a face that has to be found, followed and cut out.

Puts test clips of drawn faces into a larger picture, tilted, shifted and smaller, as a camera would see them, and runs
a model over the clip itself (the frame is the face, which is what `dfer evaluate` does) and over the face found in the
picture, cut out in several widths. With ``--picture`` it draws the timeline of one longer scene as well.

    python benchmarks/drawn_scene.py RUN [--clips 100] [--eye-distance 0.28 0.32 ...] [--detector-model FILE]
        [--picture FILE.svg] [--json]
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfer.datasets import SyntheticFaces
from dfer.datasets.synthetic.mark import DRAWN_GEOMETRY
from dfer.figures import render
from dfer.figures.timeline import timeline as draw_timeline
from dfer.inference import Pipeline, Timeline
from dfer.inference.page import curve
from dfer.transforms import EvalTransform
from dfer.video import find_detector, write_video

FPS, WIDTH, HEIGHT, SIDE, DRAWN = 25.0, 640, 360, 224, 288


def shown(faces: SyntheticFaces, row: int) -> NDArray[np.uint8]:
    """Draw all frames of a clip, ``(T, S, S, 3)``."""
    return np.stack(faces.read(row, np.arange(faces.frame_count(row))))


def scene(clip: NDArray[np.uint8], rng: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    """Show a clip in a larger picture: smaller, tilted by up to 12 degrees, wandering a little."""
    side = round(rng.uniform(0.7, 1.0) * SIDE)
    tilt, phase = rng.uniform(-12, 12), rng.uniform(0, 6)
    left, top = rng.uniform(40, WIDTH - side - 40), rng.uniform(30, HEIGHT - side - 30)
    for number, frame in enumerate(clip):
        edge = tuple(np.median(frame[:4].reshape(-1, 3), axis=0).astype(int).tolist())
        picture = Image.new("RGB", (WIDTH, HEIGHT), edge)
        turned = Image.fromarray(frame).resize((side, side), Image.Resampling.LANCZOS)
        turned = turned.rotate(tilt, Image.Resampling.BICUBIC, fillcolor=edge)
        picture.paste(turned, (round(left + 15 * np.sin(phase + number / 12)), round(top + 8 * np.cos(number / 9))))
        yield np.asarray(picture)


def answer(timeline: Timeline) -> int:
    """Give the class of the longest face, -1 where none was found."""
    face = max(timeline.faces, key=lambda one: one.frames, default=None)
    asked = [moment.probabilities for moment in face.moments if moment.probabilities] if face else []
    return int(np.mean(asked, axis=0).argmax()) if asked else -1


def measure(run: Path, clips: int, model_file: Path | None, distances: Sequence[float]) -> dict[str, Any]:
    """Recognise the clips of the drawn test set as they are, and as found in scenes, cut out in several widths."""
    detector = find_detector("auto" if model_file is None else "blaze_face", model_file)
    whole = Pipeline.load(run, detector="whole_frame", window=None, unsure=0.0)
    found = {
        distance: Pipeline(
            whole.classifier,
            detector,
            geometry=replace(DRAWN_GEOMETRY, eye_distance=distance),
            window=None,
            unsure=0.0,
        )
        for distance in distances
    }
    faces = SyntheticFaces("test", size=DRAWN, preset="easy", clips=5 * clips, transform=EvalTransform(16, DRAWN))
    labels = whole.classifier.input_spec.labels
    right: dict[str, list[bool]] = {"as drawn": []} | {f"{distance:.2f}": [] for distance in distances}
    frames, seen = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "scene.mp4"
        for row in range(len(faces)):
            clip = shown(faces, row)
            label = labels.index(faces.labels[int(faces.targets[row])])
            write_video(video, clip, FPS)
            right["as drawn"].append(answer(whole(video)) == label)
            write_video(video, scene(clip, np.random.default_rng(row)), FPS)
            for distance, pipeline in found.items():
                timeline = pipeline(video)
                right[f"{distance:.2f}"].append(answer(timeline) == label)
            frames += len(clip)
            seen += max((face.frames for face in timeline.faces), default=0)
    return {
        "clips": len(faces),
        "detector": detector.name,
        "war": {name: float(np.mean(of)) for name, of in right.items()},
        "frames_found": seen / frames,
    }


def picture(run: Path, model_file: Path | None, out: Path) -> None:
    """Draw the timeline of a scene in which one face shows one expression after the other."""
    name = "auto" if model_file is None else "blaze_face"
    pipeline = Pipeline.load(run, detector=name, detector_model=model_file, window=1.0, step=0.25)
    faces = SyntheticFaces("test", size=DRAWN, preset="easy", clips=350, transform=EvalTransform(16, DRAWN))
    person = faces.truth["identity"].iloc[0]
    rows = [row for row in range(len(faces)) if faces.truth["identity"].iloc[row] == person][:8]
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "scene.mp4"
        write_video(video, scene(np.concatenate([shown(faces, row) for row in rows]), np.random.default_rng(0)), FPS)
        timeline = pipeline(video)
    print("shown:", ", ".join(faces.labels[int(faces.targets[row])] for row in rows))
    chart = draw_timeline(
        [curve(face, len(timeline.labels)) for face in timeline.faces],
        timeline.labels,
        timeline.seconds,
        timeline.empty,
        width=7.0,
    )
    out.write_bytes(render(chart, out.suffix[1:]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--eye-distance", type=float, nargs="+", default=[0.28, 0.30, 0.32, 0.34, 0.36])
    parser.add_argument("--detector-model", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.run, arguments.clips, arguments.detector_model, arguments.eye_distance)
    if arguments.json:
        print(json.dumps(found))
    else:
        war, share = found["war"], found["frames_found"]
        print(f"{found['clips']} drawn test clips; WAR of the clips as they are {100 * war.pop('as drawn'):.1f}")
        print(f"found in a scene with {found['detector']}, in {share:.1%} of its frames, and cut out with")
        for distance, value in war.items():
            print(f"  an eye distance of {distance} of the crop's side: WAR {100 * value:.1f}")
    if arguments.picture:
        picture(arguments.run, arguments.detector_model, arguments.picture)


if __name__ == "__main__":
    main()
