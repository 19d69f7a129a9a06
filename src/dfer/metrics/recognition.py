"""How often the right expression is recognised."""

import numpy as np
from numpy.typing import NDArray


def confusion_matrix(predicted: NDArray[np.int64], label: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """Count clips by true class (row) and predicted class (column).

    Example:
        >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    return np.bincount(label * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, num_classes)


def per_class_recall(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give each class's share of clips recognised, ``(K,)``; nan for a class without a clip.

    Example:
        >>> per_class_recall(np.array([[3, 1], [0, 0]]))
        array([0.75,  nan])
    """
    count = confusion.sum(axis=1)
    return np.where(count > 0, confusion.diagonal() / np.maximum(count, 1), np.nan)


def war(confusion: NDArray[np.int64]) -> float:
    """Give the share of all clips recognised (weighted average recall, the accuracy).

    Paper: SAFE, Section IV.

    Example:
        >>> war(np.array([[3, 1], [0, 0]]))
        0.75
    """
    return float(confusion.trace() / confusion.sum())


def uar(confusion: NDArray[np.int64]) -> float:
    """Average the recall over the classes (unweighted average recall).

    Paper: SAFE, Section IV. A class without a clip is left out of the average: it has no recall, and a 0 or 1 for it
    would depend on which classes a test set happens to hold.

    Example:
        >>> uar(np.array([[3, 1], [0, 0]]))
        0.75
    """
    return float(np.nanmean(per_class_recall(confusion)))
