import json

import pytest

from dfer.errors import InputError
from dfer.models.exported import KEY, Exported
from dfer.types import InputSpec

DESCRIBED = Exported(
    "dfer.models.SAFE", InputSpec(16, 112, ("happy", "sad")), 1.5, "segments", {"data": {"drawn": True}}
)


def test_what_is_written_is_read_back() -> None:
    assert Exported.read({KEY: DESCRIBED.write(), "other": "x"}) == DESCRIBED


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, "not exported by dfer"),
        ({KEY: "{"}, "damaged metadata"),
        ({KEY: "[]"}, "damaged metadata"),
        ({KEY: json.dumps({"format": 9})}, "format 9"),
        ({KEY: DESCRIBED.write().replace('"frames": 16', '"frames": "many"')}, "damaged metadata"),
        ({KEY: DESCRIBED.write().replace('"labels"', '"names"')}, "damaged metadata"),
    ],
)
def test_other_files_are_refused(metadata: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Exported.read(metadata)
