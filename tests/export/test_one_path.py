"""One path from a clip to a number: evaluation and the exported files give the same probabilities."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dfer.evaluation.predict import predict
from dfer.evaluation.source import Source
from dfer.inference.classifier import load_classifier
from dfer.models.engines import Engine, open_onnx, open_openvino
from dfer.predictions import Predictions
from dfer.runs import RunFolder

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(("format", "opened"), [("onnx", open_onnx), ("openvino", open_openvino)])
def test_an_exported_run_gives_what_its_evaluation_gave(
    format: str, opened: Callable[[Path], Engine], finished: RunFolder, exported: Callable[[str], Path]
) -> None:
    pytest.importorskip("openvino")
    path = exported(format)
    source, engine, classifier = Source.open(finished), opened(path), load_classifier(path)
    test = source.clips("test")
    now = predict(source.loaded.model, test)
    clips = np.stack([test[row].clip.transpose(0, 1).numpy() for row in range(len(test))])  # (N, 3, T, S, S)
    saved = Predictions.load(finished.predictions("test"))
    assert saved.temperature != 1
    assert engine.exported.temperature == classifier.temperature == saved.temperature
    for logits in (engine.logits(clips), classifier.logits(clips)):
        np.testing.assert_allclose(logits, now.logits, atol=1e-4)
        found = replace(saved, logits=logits, temperature=engine.exported.temperature)
        np.testing.assert_allclose(found.probabilities(), saved.probabilities(), atol=1e-4)
    assert np.ptp(saved.probabilities(), axis=0).max() > 0.05  # there is something to tell
