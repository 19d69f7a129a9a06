import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score
from sklearn.metrics import confusion_matrix as reference

from dfer.metrics import confusion_matrix, per_class_recall, uar, war


@pytest.mark.parametrize("absent", [None, 3, 6])
def test_equals_scikit_learn(absent: int | None) -> None:
    rng = np.random.default_rng(0)
    label, predicted = rng.integers(0, 7, 300), rng.integers(0, 7, 300)
    if absent is not None:
        label[label == absent] = 0  # absent from the truth, still predicted
        assert absent in predicted
    confusion = confusion_matrix(predicted, label, 7)
    present = sorted(set(label.tolist()))
    assert confusion.tolist() == reference(label, predicted, labels=range(7)).tolist()
    assert war(confusion) == pytest.approx(accuracy_score(label, predicted))
    assert uar(confusion) == pytest.approx(recall_score(label, predicted, labels=present, average="macro"))
    recall = recall_score(label, predicted, labels=range(7), average=None, zero_division=np.nan)
    np.testing.assert_allclose(per_class_recall(confusion), recall)
    assert np.isnan(per_class_recall(confusion)).sum() == (absent is not None)
