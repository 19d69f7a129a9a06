"""Figures of recognition and calibration, always from probabilities."""

from dfer.metrics.calibration import brier_score, expected_calibration_error, negative_log_likelihood, reliability
from dfer.metrics.evaluate import Figures, evaluate
from dfer.metrics.recognition import confusion_matrix, per_class_recall, uar, war

__all__ = [
    "Figures",
    "brier_score",
    "confusion_matrix",
    "evaluate",
    "expected_calibration_error",
    "negative_log_likelihood",
    "per_class_recall",
    "reliability",
    "uar",
    "war",
]
