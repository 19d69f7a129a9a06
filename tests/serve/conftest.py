"""Modules beside the tests can be imported by name, here and in the service's workers."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from serve_for_tests import Service, running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One worker, no queue, small limits."""
    folder = tmp_path_factory.mktemp("uploads")
    with running(folder, max_megabytes=1, queue=0, deadline=3) as found:
        yield found
