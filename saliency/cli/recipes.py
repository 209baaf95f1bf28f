"""`saliency recipes`: settings named after the papers, to be looked at, edited and used."""

from __future__ import annotations

import argparse

from saliency.cli.shared.options import add_json, report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="print this one, a TOML file: edit it and give it as --recipe FILE; default: list all",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    return _list(arguments) if arguments.name is None else _print(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from saliency.recipes.files import read_recipe, recipe_names, recipe_path

    recipes = {name: read_recipe(recipe_path(name), name) for name in recipe_names()}
    rows = []
    for name, recipe in recipes.items():
        rows.append(f"{name:22} {recipe.title}")
        rows.append(f"{'':22} {', '.join(recipe.stages())}; {recipe.source}")
    rows += ["", "`saliency recipes NAME` prints one; --recipe NAME uses it in those commands."]
    values = {name: recipe.model_dump(mode="json") for name, recipe in recipes.items()}
    report(arguments, values, "\n".join(rows))
    return 0


def _print(arguments: argparse.Namespace) -> int:
    from saliency.recipes.files import read_recipe, recipe_path

    path = recipe_path(arguments.name)
    recipe = read_recipe(path, arguments.name)
    text = path.read_text(encoding="utf-8").rstrip("\n")
    report(arguments, recipe.model_dump(mode="json"), text)
    return 0
