"""From a recipe and options to built parts, through LightningCLI's own parser."""

import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from dfer.errors import InputError, one_line
from dfer.training.data import ClipData
from dfer.training.module import Recognition
from dfer.training.recipes import recipe_path

for chatty in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(chatty).setLevel(logging.ERROR)  # tips and device lists


@dataclass(frozen=True)
class Configured:
    """What a recipe and its options say, built.

    ``text`` is the whole configuration as YAML: as a recipe file it makes the same run again.
    """

    recipe: str
    module: Recognition
    data: ClipData
    trainer: dict[str, Any]
    seed: int
    model_config: dict[str, Any]
    text: str


TRAINER_DEFAULTS = {
    "accelerator": "auto",
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "enable_progress_bar": False,
    "num_sanity_val_steps": 0,
}
"""Curves, checkpoints and progress are ours."""


def configure(arguments: Sequence[str]) -> Configured:
    """Parse and build; nothing is trained and no data are opened.

    Raises:
        InputError: an unknown recipe or option (the nearest are listed), or a value that does not fit.
    """
    if not arguments:
        raise InputError("no recipe given; `dfer train dfew/baseline --data.root DIR`, for instance")
    recipe, *options = arguments
    path = recipe_path(recipe)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            cli = LightningCLI(
                Recognition,
                ClipData,
                run=False,
                args=["--config", str(path), *options],
                save_config_callback=None,
                auto_configure_optimizers=False,
                trainer_defaults={**TRAINER_DEFAULTS},
                parser_kwargs={"exit_on_error": False},
                seed_everything_default=0,
            )
        except InputError:
            raise
        except SystemExit as error:
            raise InputError(f"{recipe}: the options cannot be read") from error
        except Exception as error:
            if not _is_configuration_error(error):
                raise
            raise InputError(f"{recipe}: {_explain(error, str(path))}") from error
        resolved = cli.parser.dump(cli.config, skip_link_targets=False)
    model = _plain(cli.config["model"]["model"])
    seed = cli.config["seed_everything"]
    return Configured(
        recipe=recipe,
        module=cli.model,
        data=cli.datamodule,
        trainer={name: value for name, value in _plain(cli.config["trainer"]).items() if name != "callbacks"},
        seed=0 if isinstance(seed, bool) else int(seed),
        model_config=model,
        text=resolved,
    )


def _is_configuration_error(error: Exception) -> bool:
    name = type(error).__name__
    return isinstance(error, (ValueError, TypeError)) or name in {"ArgumentError", "ParserError", "NSKeyError"}


def _explain(error: Exception, path: str) -> str:
    text = one_line(error)
    while of_optional := re.search(
        r"Does not validate against any of the Union.*?Errors: - (.+?) - Expected a <class 'None", text
    ):
        text = text[: of_optional.start()] + of_optional[1]  # of a part or None, what is wrong with the part
    if of_type := re.search(r'Parser key "([\w.]+)": Type .+ Parser key "([\w.]+)": Expected an? <class \'(\w+)\'>\. '
                            r"Got value: (.+?)\. Got value: Namespace", text):  # fmt: skip
        part, name, kind, value = of_type.groups()
        return text[: of_type.start()] + f"{part}.{name} is {value!r}, which is no {kind}; give one"
    wrong = re.search(r"Option '([\w.]+)' is not accepted|[Uu]nrecognized arguments: --([\w.]+)|Key '([\w.]+)'", text)
    if not wrong:
        return text
    name = next(group for group in wrong.groups() if group)
    parser = LightningArgumentParser()
    parser.add_argument("--seed_everything", type=int)
    parser.add_lightning_class_args(Recognition, "model")
    parser.add_lightning_class_args(ClipData, "data")
    parser.add_lightning_class_args(Trainer, "trainer")
    known = parser.parse_path(path)
    keys = _keys(_plain(known))
    last = {key.rsplit(".", 1)[-1]: key for key in keys}
    near = [last.get(match, match) for match in get_close_matches(name, [*keys, *last], n=3, cutoff=0.5)]
    return f"there is no option {name}" + (f"; did you mean --{' or --'.join(dict.fromkeys(near))}?" if near else "")


def _plain(value: Any) -> Any:
    if hasattr(value, "as_dict"):
        value = value.as_dict()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _keys(value: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, item in value.items():
        name = prefix if key == "init_args" else f"{prefix}.{key}".lstrip(".")
        found += _keys(item, name) if isinstance(item, Mapping) else [name]
    return [name for name in found if not name.endswith("class_path")]
