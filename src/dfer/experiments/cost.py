"""``dfer cost``: parameters and true multiply-adds of a backbone or of a recipe's model."""

import contextlib
import json as json_format
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from torch import nn

from dfer.backbones import BACKBONES
from dfer.errors import InputError
from dfer.models import PUBLISHED_GMAC, Recognizer
from dfer.models import cost as count
from dfer.types import InputSpec


def cost(
    model: str,
    *options: Annotated[str, Parameter(allow_leading_hyphen=True)],
    json: bool = False,
) -> int:
    """Count a model's parameters and the true multiply-adds of one clip.

    The published figures of some models leave out most of the work, as if the counter gave zero to
    torchvision's ``Conv3DSimple`` and ``Conv3DNoTemporal``.

    Args:
        model: a backbone's name, a recipe's name or a recipe file.
        options: settings of the recipe, such as ``--model.model.size 160``.
        json: print one JSON object instead of a table.
    """
    built = _build(model, list(options))
    found = count(built)
    spec: InputSpec = built.input_spec  # type: ignore[assignment]
    published = None if options else PUBLISHED_GMAC.get(model.rpartition("/")[2])
    if (spec.frames, spec.size) != (16, 112):
        published = None
    if json:
        content = {
            "model": model,
            "frames": spec.frames,
            "size": spec.size,
            "parameters": found.parameters,
            "gmac": found.gmac,
            "published_gmac": published,
        }
        print(json_format.dumps(content))
        return 0
    table = Table("model", "input", "parameters", "GMAC per clip", "published")
    size = f"{spec.frames}x{spec.size}x{spec.size}"
    shown = "-" if published is None else f"{published:.2f}"
    table.add_row(model, size, f"{found.parameters / 1e6:.2f} M", f"{found.gmac:.2f}", shown)
    Console().print(table)
    return 0


def _build(model: str, options: list[str]) -> nn.Module:
    if model in BACKBONES and not options:
        return Recognizer(BACKBONES[model]())
    from dfer.training.fit import build  # Lightning takes seconds to import

    with contextlib.suppress(InputError):  # nobody needs weights to count them
        return build([model, *options, "--model.model.backbone.weights=none"])[0].model
    try:
        return build([model, *options])[0].model
    except InputError as error:
        raise InputError(f"{error}; backbones: {', '.join(BACKBONES)}") from error
