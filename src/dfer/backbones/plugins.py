"""Modules on the output of a backbone's stages."""

from collections.abc import Collection, Mapping

from torch import nn


def place(plugins: Mapping[int, nn.Module] | None, stages: Collection[int]) -> nn.ModuleDict:
    """Keep plug-ins by the stage whose output they work on.

    Raises:
        ValueError: a stage that the backbone does not have.

    Example:
        >>> place({4: nn.Identity()}, [1, 2, 3, 4])
        ModuleDict(
          (4): Identity()
        )
    """
    for stage in plugins or {}:
        if str(stage) not in map(str, stages):
            raise ValueError(f"plugins for stage {stage}; this backbone has the stages {', '.join(map(str, stages))}")
    return nn.ModuleDict({str(stage): plugin for stage, plugin in (plugins or {}).items()})
