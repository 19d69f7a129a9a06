"""Figures: arrays in, a matplotlib Figure out; this room knows no model and no disk."""

from dfer.figures.confusion import confusion
from dfer.figures.curves import curves
from dfer.figures.film_strip import film_strip
from dfer.figures.reliability import reliability
from dfer.figures.samples import contact_sheet
from dfer.figures.style import Figure, render

__all__ = ["Figure", "confusion", "contact_sheet", "curves", "film_strip", "reliability", "render"]
