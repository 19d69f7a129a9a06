"""From a trained model to figures that can be trusted."""

from dfer.evaluation.evaluate import evaluate_run, figures_of, pool, print_figures
from dfer.evaluation.intervals import intervals
from dfer.evaluation.predict import predict
from dfer.evaluation.temperature import fit_temperature

__all__ = ["evaluate_run", "figures_of", "fit_temperature", "intervals", "pool", "predict", "print_figures"]
