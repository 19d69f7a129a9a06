"""Temperature scaling."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

LOWEST, HIGHEST = 0.05, 20.0


def fit_temperature(logits: NDArray[np.float32], label: NDArray[np.int64]) -> float:
    """Find the temperature that makes the true classes most likely; it changes no prediction, only its confidence.

    Paper: Guo et al. 2017, "On Calibration of Modern Neural Networks", Sec. 4.2. Bounded, since clips that are all
    predicted rightly would drive it to 0.

    Shape:
        logits ``(N, K)``, label ``(N,)`` -> a number in [0.05, 20].

    Raises:
        ValueError: no clip.

    Example:
        >>> logits = np.array([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
        >>> round(fit_temperature(logits, np.array([0, 0, 1, 1])), 2)  # right three times of four
        3.64
    """
    if not len(logits):
        raise ValueError("no clip to fit a temperature on")

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        return -float(scaled[np.arange(len(label)), label].mean())

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-5})
    return float(np.exp(found.x))
