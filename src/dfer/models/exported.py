"""What an exported model says of itself: the metadata inside its file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from dfer.errors import InputError
from dfer.types import InputSpec

KEY: Final = "dfer"
"""The name under which the description lies in a file's metadata."""
FORMAT: Final = 1
INPUT, OUTPUT = "clip", "logits"
"""Of the graph: ``(B, 3, T, S, S)`` uint8 -> ``(B, K)`` float32, before the temperature."""


@dataclass(frozen=True)
class Exported:
    """All that a program needs to use an exported model as this package does.

    ``sampling`` says which frames of a clip the model takes; ``about`` is the checkpoint's.

    Example:
        >>> spec = InputSpec(16, 112, ("happy", "sad"))
        >>> Exported.read({"dfer": Exported("dfer.models.SAFE", spec).write()}).input_spec == spec
        True
    """

    model: str
    input_spec: InputSpec
    temperature: float = 1.0
    sampling: str = "segments"
    about: Mapping[str, Any] = field(default_factory=dict)

    def write(self) -> str:
        """Write one line of JSON, the value of the key ``dfer``."""
        spec = self.input_spec
        content = {
            "format": FORMAT,
            "model": self.model,
            "frames": spec.frames,
            "size": spec.size,
            "labels": list(spec.labels),
            "temperature": self.temperature,
            "sampling": self.sampling,
            "about": dict(self.about),
        }
        return json.dumps(content, sort_keys=True)

    @classmethod
    def read(cls, metadata: Mapping[str, str]) -> Self:
        """Read the description out of a file's metadata.

        Raises:
            InputError: none there, of another format, or damaged.
        """
        if KEY not in metadata:
            raise InputError(f"no {KEY!r} in the metadata: not exported by dfer; make it with `dfer export RUN`")
        try:
            content = json.loads(metadata[KEY])
            if content["format"] != FORMAT:
                raise InputError(f"metadata of format {content['format']!r}, this version of dfer reads {FORMAT}")
            spec = InputSpec(int(content["frames"]), int(content["size"]), tuple(map(str, content["labels"])))
            about = dict(content["about"])
            return cls(str(content["model"]), spec, float(content["temperature"]), str(content["sampling"]), about)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"damaged metadata ({error}); export the model again with `dfer export RUN`") from error
