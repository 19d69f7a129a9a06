"""Layouts for clips of one's own: a folder per class, or a CSV file."""

from dataclasses import replace
from functools import partial

from dfer.datasets.synthetic.knobs import Knobs, Split
from dfer.datasets.synthetic.writing import Order, Save, plan_split, save_jpegs, save_video, write, write_lines

_SPLITS: tuple[Split, ...] = ("train", "test")


def write_folder(order: Order) -> None:
    """Write ``train/happy/00001/0001.jpg``, or ``train/happy/00001.mp4``."""
    knobs, suffix, save = _parts(order)
    for split in _SPLITS:
        clips = plan_split(order, knobs, split, lambda row, label, s=split: f"{s}/{label}/{row + 1:05d}{suffix}")  # type: ignore[misc]
        write(order, knobs, clips, save)


def write_csv(order: Order) -> None:
    """Write ``clips/train-00001/0001.jpg``, or ``clips/train-00001.mp4``, and ``clips.csv``."""
    knobs, suffix, save = _parts(order)
    lines = ["clip,label,split,subject"]
    for split in _SPLITS:
        clips = plan_split(order, knobs, split, lambda row, label, s=split: f"clips/{s}-{row + 1:05d}{suffix}")  # type: ignore[misc]
        write(order, knobs, clips, save)
        lines += [f"{clip.path},{clip.label},{clip.split},{clip.identity}" for clip in clips]
    write_lines(order.root / "clips.csv", lines)


def _parts(order: Order) -> tuple[Knobs, str, Save]:
    knobs = order.knobs
    if order.clips is not None:
        test = max(1, round(order.clips / 4))
        knobs = replace(knobs, clips=(order.clips - test, test))
    if order.video:
        return knobs, ".mp4", save_video
    return knobs, "", partial(save_jpegs, name="{frame:04d}.jpg")
