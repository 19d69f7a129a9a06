"""Losses: a pure function for the maths, a thin class ``forward(output, batch)`` for the trainer."""

from dfer.losses.ambiguity import AmbiguityCalibrationLoss, ambiguity_aware, class_factor
from dfer.losses.confusion import ConfusionAware, confusion_aware
from dfer.losses.cross_entropy import CrossEntropy, cross_entropy
from dfer.losses.distribution_aware import DistributionAwareLoss
from dfer.losses.robust_supcon import log_negative_weight, robust_supcon
from dfer.losses.soft_cross_entropy import SoftCrossEntropy, soft_cross_entropy
from dfer.losses.supcon import SupCon, supcon
from dfer.losses.weighted_sum import WeightedSum

__all__ = [
    "AmbiguityCalibrationLoss",
    "ConfusionAware",
    "CrossEntropy",
    "DistributionAwareLoss",
    "SoftCrossEntropy",
    "SupCon",
    "WeightedSum",
    "ambiguity_aware",
    "class_factor",
    "confusion_aware",
    "cross_entropy",
    "log_negative_weight",
    "robust_supcon",
    "soft_cross_entropy",
    "supcon",
]
