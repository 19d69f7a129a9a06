"""How long a table will take: from finished runs where there are any, else from a few real training steps."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dfer.experiments.execute import state
from dfer.experiments.plan import Planned
from dfer.runs import RunFolder

STEPS = 3


@dataclass(frozen=True)
class Estimate:
    """Seconds that one run takes, and how that is known."""

    seconds: float
    how: str


def recorded(run: Planned) -> list[float]:
    """List the training seconds of finished runs of the same configuration, whatever their seed and fold."""
    found = []
    for path in sorted(run.store.glob(f"{run.key}-seed*/run.json")):
        folder = RunFolder(path.parent)
        if state(folder) == "done" and isinstance(seconds := folder.read_manifest().get("seconds"), int | float):
            found.append(float(seconds))
    return found


def estimate(run: Planned, measure: Callable[[Sequence[str]], float]) -> Estimate:
    """Estimate a run's seconds.

    Args:
        measure: gives the seconds of a run from its arguments by trying, where nothing is on record.

    Raises:
        InputError: the run's data or options are bad.
    """
    if seconds := recorded(run):
        return Estimate(statistics.median(seconds), f"{len(seconds)} finished")
    return Estimate(measure(run.arguments), f"{STEPS} steps timed")


def timed_steps(arguments: Sequence[str]) -> float:
    """Time a few training steps of a run's own model, loss, optimiser and batch, and multiply by its steps.

    Validation after each epoch counts as a third of a training step per batch (no backward pass). Drawing or reading
    the clips is left out: workers do it meanwhile.

    Raises:
        InputError: bad recipe, option or data.
    """
    from dfer.training.configuration import configure  # Lightning takes seconds to import

    configured = configure(list(arguments))
    module, data = configured.module, configured.data
    data.workers = 0
    spec: Any = module.model.input_spec
    data.open(spec, configured.seed)
    module.bind(data.train_set)
    module.train()
    optimizer = module.optimizer([{"params": list(module.parameters())}])
    batch = next(iter(data.train_dataloader()))

    def closure() -> Any:
        optimizer.zero_grad()
        loss = module.loss(module.model(batch.clip), batch)
        loss.backward()
        return loss

    spent = []
    for _ in range(STEPS + 1):
        start = time.perf_counter()
        optimizer.step(closure)
        spent.append(time.perf_counter() - start)
    a_step = statistics.median(spent[1:])  # the first one warms up
    epochs = int(configured.trainer["max_epochs"] or 1)
    batches = (
        math.ceil(len(data.train_rows) / data.batch_size) + math.ceil(len(data.validation_rows) / data.batch_size) / 3
    )
    return a_step * batches * epochs
