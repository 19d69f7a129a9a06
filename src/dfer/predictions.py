"""What a model said of each clip: the hand-over from models to tables and figures."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from dfer.errors import InputError
from dfer.runs import write_atomically


@dataclass(frozen=True)
class Predictions:
    """Saved logits and all that a table or figure needs to use them without the model or the data.

    ``logits`` are as the model gave them; ``temperature`` (1.0 until one was fitted) divides them.

    Shape:
        logits ``(N, K)`` float32, label ``(N,)`` int64, row ``(N,)`` int64, clip_id ``(N,)`` str,
        embedding ``(N, D)`` float32, clip_logits ``(N, M, K)`` float32 or None.
    """

    logits: NDArray[np.float32]
    label: NDArray[np.int64]
    row: NDArray[np.int64]
    clip_id: NDArray[np.str_]
    embedding: NDArray[np.float32]
    labels: tuple[str, ...]
    clip_logits: NDArray[np.float32] | None = None
    temperature: float = 1.0
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.logits)
        arrays = {"label": self.label, "row": self.row, "clip_id": self.clip_id, "embedding": self.embedding}
        if self.clip_logits is not None:
            arrays["clip_logits"] = self.clip_logits
        for name, array in arrays.items():
            if len(array) != count:
                raise ValueError(f"predictions: {count} rows of logits but {len(array)} of {name}")
        if self.logits.ndim != 2 or self.logits.shape[1] != len(self.labels):
            raise ValueError(f"predictions: logits {self.logits.shape} do not fit {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.logits)

    def probabilities(self, temperature: float | None = None) -> NDArray[np.float64]:
        """Turn logits into probabilities, ``(N, K)``, after ``temperature`` (its own unless given)."""
        scaled = self.logits.astype(np.float64) / (self.temperature if temperature is None else temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        exp = np.exp(scaled)
        return exp / exp.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]

    def save(self, path: Path) -> None:
        """Write one ``.npz`` that loads without pickle, atomically."""
        arrays: dict[str, Any] = {
            "logits": self.logits,
            "label": self.label,
            "row": self.row,
            "clip_id": self.clip_id.astype(np.str_),
            "embedding": self.embedding,
            "labels": np.array(self.labels),
            "temperature": np.array(self.temperature),
            "about": np.array(json.dumps(dict(self.about))),
        }
        if self.clip_logits is not None:
            arrays["clip_logits"] = self.clip_logits
        content = io.BytesIO()
        np.savez(content, **arrays)
        write_atomically(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Predictions":
        """Read what ``save`` wrote.

        Raises:
            InputError: no such file, or not a predictions file.
        """
        if not path.is_file():
            raise InputError(f"{path} not found; run `dfer evaluate` on its run folder first")
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                return cls(
                    logits=file["logits"],
                    label=file["label"],
                    row=file["row"],
                    clip_id=file["clip_id"],
                    embedding=file["embedding"],
                    labels=tuple(str(name) for name in file["labels"]),
                    clip_logits=file.get("clip_logits"),
                    temperature=float(file["temperature"]),
                    about=json.loads(str(file["about"])),
                )
        except (KeyError, ValueError, OSError, EOFError, BadZipFile) as error:
            raise InputError(f"{path} is no predictions file ({error}); make it again with `dfer evaluate`") from error
