"""Training by recipe; the only room that knows Lightning."""

from dfer.training.recipes import recipe_names, recipe_path

__all__ = ["recipe_names", "recipe_path"]
