"""From recipe to report."""

import json

from dfer.runs import RunFolder


def test_trains_evaluates_and_reports(finished: RunFolder) -> None:
    assert finished.read_manifest()["state"] == "finished"
    assert json.loads(finished.evaluation.read_text())["clips"] == 9
    assert finished.report.stat().st_size > 10_000
