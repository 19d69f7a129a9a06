"""Whole models: a clip of pixels in, logits out; their checkpoints and their cost."""

from dfer.models.cost import PUBLISHED_GMAC, Cost, cost
from dfer.models.hdf import HDF
from dfer.models.m3dfel import M3DFEL
from dfer.models.rdfer import RDFER
from dfer.models.recognizer import Recognizer
from dfer.models.safe import SAFE

__all__ = ["HDF", "M3DFEL", "PUBLISHED_GMAC", "RDFER", "SAFE", "Cost", "Recognizer", "cost"]
