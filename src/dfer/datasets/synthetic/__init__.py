"""Drawn faces: the embedded data set, and a test bed whose truth is known."""

from dfer.datasets.synthetic.dataset import SyntheticFaces
from dfer.datasets.synthetic.knobs import EASY, PRESETS, WILD, Knobs

__all__ = ["EASY", "PRESETS", "WILD", "Knobs", "SyntheticFaces"]
