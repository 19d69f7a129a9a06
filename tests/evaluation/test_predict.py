"""From a model and clips to predictions."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dfer.datasets import FolderClips
from dfer.evaluation import predict
from dfer.models import checkpoint
from dfer.runs import RunFolder
from dfer.transforms import EvalTransform


@pytest.fixture
def test_set(finished: RunFolder) -> FolderClips:
    return FolderClips(finished.path.parent / "clips", "test", transform=EvalTransform(4, 32))


def test_is_the_model_on_each_clip(finished: RunFolder, test_set: FolderClips) -> None:
    model = checkpoint.load(finished.checkpoint()).model
    found = predict(model, test_set, batch_size=4)
    assert len(found) == len(test_set) == 9
    with torch.inference_mode():
        for row in range(len(test_set)):
            sample = test_set[row]
            output = model(sample.clip.transpose(0, 1)[None])
            np.testing.assert_allclose(found.logits[row], output.logits[0], atol=1e-5)
            assert found.label[row] == sample.label
            assert found.clip_id[row] == test_set.clip_id(row)


def test_some_rows_in_the_order_asked_for(finished: RunFolder, test_set: FolderClips) -> None:
    model = checkpoint.load(finished.checkpoint()).model
    whole, some = predict(model, test_set), predict(model, test_set, [5, 2], batch_size=1)
    assert some.row.tolist() == [5, 2]
    np.testing.assert_allclose(some.logits, whole.logits[[5, 2]], atol=1e-5)


def test_workers_change_nothing(finished: RunFolder, test_set: FolderClips) -> None:
    model = checkpoint.load(finished.checkpoint()).model
    assert np.array_equal(predict(model, test_set).logits, predict(model, test_set, workers=2).logits)


def test_no_clip_is_refused(finished: RunFolder, test_set: FolderClips, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no clip"):
        predict(checkpoint.load(finished.checkpoint()).model, test_set, [])
