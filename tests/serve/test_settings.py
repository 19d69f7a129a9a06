import math

import pytest

from dfer.errors import InputError
from dfer.serve.settings import Settings


def test_limits_are_counted_in_bytes_and_places() -> None:
    settings = Settings(max_megabytes=0.5, workers=2, queue=3)
    assert settings.max_bytes == 500_000
    assert settings.places == 5


@pytest.mark.parametrize("name", ["max_megabytes", "max_pixels", "max_seconds", "deadline", "workers"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_a_limit_that_lets_nothing_or_anything_in_is_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"^--{name.replace('_', '-')} is .*; it must be more than 0$"):
        Settings(**{name: value})


def test_a_negative_queue_is_refused() -> None:
    with pytest.raises(InputError, match="--queue is -1; it must be 0 or more"):
        Settings(queue=-1)
