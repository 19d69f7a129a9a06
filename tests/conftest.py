"""What several tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real face videos; tests that need it skip without it."""
    folder = os.environ.get("DFER_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("DFER_TEST_DATA names no folder of test videos")
    return Path(folder)
