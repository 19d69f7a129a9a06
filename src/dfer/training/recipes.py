"""Recipes: one whole experiment each, as YAML that comes with the package or that a user wrote."""

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from dfer.errors import InputError


def recipe_names() -> list[str]:
    """List the packaged recipes.

    Example:
        >>> "dfew/baseline" in recipe_names()
        True
    """
    root = _root()
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml"))


def recipe_path(recipe: str) -> Path:
    """Find a recipe by its packaged name or as a file.

    Raises:
        InputError: neither; the nearest names are listed.
    """
    if recipe in recipe_names():
        return _root() / f"{recipe}.yaml"
    if Path(recipe).suffix in {".yaml", ".yml"}:
        if Path(recipe).is_file():
            return Path(recipe)
        raise InputError(f"recipe file {recipe} not found")
    near = get_close_matches(recipe, recipe_names(), n=3, cutoff=0.4)
    hint = (
        f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(recipe_names())}; or give a .yaml file"
    )
    raise InputError(f"there is no recipe {recipe!r}; {hint}")


def _root() -> Path:
    return Path(str(files("dfer"))) / "recipes"
