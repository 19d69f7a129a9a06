"""Figures: arrays in, a matplotlib Figure out; this room knows no model and no disk."""

from dfer.figures.agreement import InParts, agreement_sheet
from dfer.figures.clip_histograms import clip_histograms
from dfer.figures.confusion import confusion
from dfer.figures.curves import curves
from dfer.figures.embedding import embedding
from dfer.figures.film_strip import film_strip
from dfer.figures.heatmap import Heated, heatmap
from dfer.figures.landscape import landscape
from dfer.figures.reliability import reliability
from dfer.figures.samples import contact_sheet
from dfer.figures.scaling import scaling
from dfer.figures.style import Figure, render
from dfer.figures.timeline import FaceCurve, timeline

__all__ = [
    "FaceCurve",
    "Figure",
    "Heated",
    "InParts",
    "agreement_sheet",
    "clip_histograms",
    "confusion",
    "contact_sheet",
    "curves",
    "embedding",
    "film_strip",
    "heatmap",
    "landscape",
    "reliability",
    "render",
    "scaling",
    "timeline",
]
