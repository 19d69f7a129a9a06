"""Random state in and out."""

import io
import random

import numpy as np
import torch

from dfer.training.resume import random_state, set_random_state


def draw() -> tuple[float, float, float, float]:
    return random.random(), float(np.random.rand()), float(np.random.randn()), float(torch.rand(()))  # noqa: NPY002


def test_every_generator_goes_on_where_it_was_also_through_a_file() -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    draw()
    file = io.BytesIO()
    torch.save(random_state(), file)
    first = draw()
    assert first != draw()
    file.seek(0)
    set_random_state(torch.load(file, weights_only=True))
    assert draw() == first
