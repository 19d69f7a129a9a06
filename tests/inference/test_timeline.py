import csv
import io
import json

import pytest

from dfer.inference.timeline import FaceTimeline, Moment, Peak, Timeline

SAD = Moment(0.5, 1.0, (0.25, 0.75), "sad")
UNSURE = Moment(1.0, 1.5, (0.5, 0.5), None, "unsure")
SMALL = Moment(0.5, 1.0, None, None, "too small")


@pytest.fixture
def timeline() -> Timeline:
    first = FaceTimeline(1, 0.5, 1.5, 30, (SAD, UNSURE), (Peak("sad", 0.5, 1.0, 0.75, b"jpeg"),))
    second = FaceTimeline(2, 0.5, 1.0, 15, (SMALL,))
    return Timeline(
        "a.mp4", 2.0, 60, 640, 360, ("happy", "sad"), (first, second), ((0.0, 0.5),), ("Trained on drawn faces.",)
    )


def test_json_says_all_but_pictures(timeline: Timeline) -> None:
    found = json.loads(timeline.to_json())
    assert found["labels"] == ["happy", "sad"]
    assert found["no_face"] == [[0.0, 0.5]]
    assert found["notes"] == ["Trained on drawn faces."]
    first, second = found["faces"]
    assert first["moments"][0] == {
        "start": 0.5, "end": 1.0, "label": "sad", "confidence": 0.75, "reason": None, "probabilities": [0.25, 0.75],
    }  # fmt: skip
    assert first["moments"][1]["label"] is None
    assert first["moments"][1]["reason"] == "unsure"
    assert first["peaks"] == [{"label": "sad", "start": 0.5, "end": 1.0, "confidence": 0.75}]
    assert second["moments"][0]["probabilities"] is None


def test_csv_is_in_order_of_time_and_leaves_empty_what_is_not_said(timeline: Timeline) -> None:
    rows = list(csv.DictReader(io.StringIO(timeline.to_csv())))
    assert [(row["face"], row["label"], row["reason"]) for row in rows] == [
        ("", "", "no face"), ("1", "sad", ""), ("2", "", "too small"), ("1", "", "unsure"),
    ]  # fmt: skip
    assert rows[1]["sad"] == "0.750000"
    assert rows[2]["sad"] == rows[2]["confidence"] == ""
    assert {row["note"] for row in rows} == {"Trained on drawn faces."}
