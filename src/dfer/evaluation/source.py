"""A finished run's best model, and the clips that it is to be measured on."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from dfer.datasets import ClipDataset, build
from dfer.errors import InputError
from dfer.labels import label_map
from dfer.models import checkpoint
from dfer.predictions import Predictions
from dfer.runs import RunFolder
from dfer.transforms import EvalTransform
from dfer.types import InputSpec

_log = logging.getLogger("dfer")


@dataclass(frozen=True)
class Source:
    """What a run's predictions are made from."""

    manifest: dict[str, Any]
    loaded: checkpoint.Loaded
    description: dict[str, Any]

    @classmethod
    def open(cls, run: RunFolder, data: Path | None = None) -> Self:
        """Load the best model of a run, and say where its data lie.

        Args:
            data: where the data lie now, if they moved.

        Raises:
            InputError: no run there, no checkpoint yet, or a place for data that are drawn.
        """
        manifest = run.read_manifest()
        if not run.checkpoint("best").is_file():
            state = manifest.get("state", "unknown")
            raise InputError(f"{run.path} has no checkpoint yet (state: {state}); go on with `dfer train ... --resume`")
        loaded = checkpoint.load(run.checkpoint("best"))
        return cls(manifest, loaded, moved(manifest["data"]["description"], data))

    def clips(self, split: str) -> ClipDataset:
        """Open a split of the data, as the model wants to see it.

        Raises:
            InputError: the data are gone.
        """
        spec = self.loaded.input_spec
        transform = EvalTransform(spec.frames, spec.size, sampling=self.manifest.get("sampling", "segments"))
        return build(self.description, split, transform)


def moved(description: Mapping[str, Any], data: Path | None) -> dict[str, Any]:
    """Say of a data set's description that it lies somewhere else now.

    A packed copy that has gone is done without.

    Raises:
        InputError: the data are drawn.
    """
    arguments = dict(description["args"])
    place = next((name for name in ("root", "file") if name in arguments), None)
    if data is not None:
        if place is None:
            raise InputError(f"{description['class']} is drawn, it lies nowhere; leave out --data")
        arguments[place] = str(data.absolute())
    if isinstance(copy := arguments.get("packed"), str) and not Path(copy).exists():
        _log.warning(
            "the packed copy %s is gone; one beside the data is read if there is one, else the originals", copy
        )
        arguments["packed"] = True
    return {"class": description["class"], "args": arguments}


def in_labels(predictions: Predictions, spec: InputSpec) -> tuple[Predictions, list[str]]:
    """Express the labels of the data in the model's, by name; clips of classes it does not know are left out."""
    if predictions.labels == spec.labels:
        return predictions, []
    targets = label_map(predictions.labels, spec.labels)
    known = np.array([targets[label] is not None for label in predictions.label])
    if not known.any():
        raise InputError(
            f"the data's labels ({', '.join(predictions.labels)}) are none of the model's ({', '.join(spec.labels)})"
        )
    keep = np.flatnonzero(known)
    label = np.array([targets[label] for label in predictions.label[keep]], dtype=np.int64)
    clip_logits = None if predictions.clip_logits is None else predictions.clip_logits[keep]
    left_out = [name for name, target in zip(predictions.labels, targets) if target is None]
    return (
        Predictions(
            logits=predictions.logits[keep],
            label=label,
            row=predictions.row[keep],
            clip_id=predictions.clip_id[keep],
            embedding=predictions.embedding[keep],
            labels=spec.labels,
            clip_logits=clip_logits,
        ),
        left_out,
    )
