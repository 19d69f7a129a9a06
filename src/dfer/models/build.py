"""From a model's description in plain JSON to the model, using nothing but this package's own parts."""

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from dfer.backbones import BACKBONES
from dfer.errors import InputError

ROOMS = ("backbones", "modules", "models")


def build(config: Mapping[str, Any]) -> nn.Module:
    """Build ``{"class_path": ..., "init_args": {...}}``, parts within parts, without fetching any weights.

    Only a module that `dfer.backbones`, `dfer.modules` or `dfer.models` exports is built, whatever a file asks for;
    ``weights`` named in a description are left out, for the checkpoint has its own.

    Raises:
        InputError: another class, or arguments that it does not take.
    """
    part = resolve(config.get("class_path"))
    arguments = config.get("init_args") or {}
    try:
        return part(**{name: _argument(name, value) for name, value in arguments.items()})
    except (TypeError, ValueError, AttributeError) as error:  # a function where a module is wanted has no channels
        if isinstance(error, InputError):
            raise
        raise InputError(f"{config['class_path']} cannot be built from its init_args: {error}") from error


def resolve(class_path: object) -> Callable[..., nn.Module]:
    """Find an exported module class or backbone builder by its path.

    Raises:
        InputError: anything else.

    Example:
        >>> resolve("dfer.backbones.r3d_18").__name__
        'r3d_18'
    """
    if isinstance(class_path, str):
        package, _, rest = class_path.partition(".")
        room, _, inner = rest.partition(".")
        name = inner.rpartition(".")[2]
        if package == "dfer" and room in ROOMS:
            exported = importlib.import_module(f"dfer.{room}")
            part = getattr(exported, name) if name in exported.__all__ else None
            is_part = part in BACKBONES.values() or (inspect.isclass(part) and issubclass(part, nn.Module))
            if part and is_part and class_path in (f"dfer.{room}.{name}", f"{part.__module__}.{name}"):
                return part  # type: ignore[no-any-return]
    raise InputError(f"class_path {class_path!r} is no backbone, module or model of dfer; nothing else is built")


def accepts(part: Callable[..., nn.Module], argument: str) -> bool:
    """Tell whether a class or builder takes an argument of this name."""
    return argument in inspect.signature(part).parameters


def _part(config: Mapping[str, Any]) -> nn.Module | Callable[..., nn.Module]:
    """Build a part; where it still lacks an argument that it requires, give the function that awaits it."""
    part = resolve(config["class_path"])
    given = config.get("init_args") or {}
    parameters = inspect.signature(part).parameters.values()
    if all(one.default is not one.empty or one.name in given for one in parameters):
        return build(config)
    return functools.partial(part, **{name: _argument(name, value) for name, value in given.items()})


def _argument(name: str, value: Any) -> Any:
    if name == "weights" and isinstance(value, str):
        return None
    if isinstance(value, Mapping):
        return _part(value) if "class_path" in value else {key: _argument("", item) for key, item in value.items()}
    if isinstance(value, list):
        return [_argument("", item) for item in value]
    return value
