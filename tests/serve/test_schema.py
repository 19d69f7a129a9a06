import json
from pathlib import Path

import fake_recogniser
import pytest
from pydantic import ValidationError

from dfer.serve import schema


def test_it_is_what_timelines_are(tmp_path: Path) -> None:
    whole = fake_recogniser.two_faces("a.mp4", 12.0, {"name": "fake"}).to_dict()
    found = schema.Timeline.model_validate_json(json.dumps(whole))
    assert json.loads(found.model_dump_json()) == whole
    reasons = {moment.reason for face in found.faces for moment in face.moments}
    assert reasons == {None, "too small", "unsure"}


def test_what_is_not_declared_is_no_timeline() -> None:
    whole = fake_recogniser.two_faces("a.mp4", 12.0, {}).to_dict()
    with pytest.raises(ValidationError, match="Extra inputs"):
        schema.Timeline.model_validate(whole | {"mood": "good"})
