"""Which files a configuration is made of: the one that was asked for or found, recipes by name, and includes."""

import os
from importlib.resources import files
from pathlib import Path

from terrazzo.config.document import Node, read_file
from terrazzo.config.issue import Issue, Place
from terrazzo.config.layers import Shorthands, merge
from terrazzo.errors import ConfigError
from terrazzo.record import nearest

__all__ = ["NAMES", "VARIABLE", "find_configuration", "list_recipes", "read_layers", "recipe_file"]

VARIABLE = "TERRAZZO_CONFIG"
"""Environment variable that names the configuration where none is given."""

NAMES = ("terrazzo.yaml", "config.yml")
"""Files that are looked for upward from the working directory, in this order in each folder."""

_SUFFIXES = (".yaml", ".yml")


def list_recipes() -> list[str]:
    """Return the names of the shipped recipes, sorted.

    >>> "demo" in list_recipes()
    True
    """
    return sorted(file.stem for file in _recipe_folder().iterdir() if file.suffix in _SUFFIXES)


def recipe_file(name: str) -> Path:
    """Return the file of a shipped recipe.

    Raises:
        ConfigError: There is no recipe of that name.
    """
    known = list_recipes()
    if name not in known:
        raise ConfigError(
            f'No recipe is called "{name}".{nearest(name, known)} Recipes: {", ".join(known)}. '
            "A file is named with its suffix, .yaml or .yml."
        )
    return _recipe_folder() / f"{name}.yaml"


def find_configuration(asked: str | Path | None, *, folder: Path | None = None) -> Path:
    """Return the file to load.

    Args:
        asked: A file, or a recipe's name: a single word without a suffix. None: $TERRAZZO_CONFIG says, else the
            nearest `terrazzo.yaml` or `config.yml` from the working directory upward.
        folder: Stands for the working directory.

    Raises:
        ConfigError: There is no such file or recipe, or nothing was found.
    """
    here = Path.cwd() if folder is None else folder
    if asked is not None:
        return _file_or_recipe(asked, here)
    if os.environ.get(VARIABLE):
        try:
            return _file_or_recipe(os.environ[VARIABLE], here)
        except ConfigError as error:
            raise ConfigError(f"${VARIABLE}: {error}") from error
    for candidate in (parent / name for parent in (here, *here.parents) for name in NAMES):
        if candidate.is_file():
            return candidate
    raise ConfigError(
        f"No configuration was given, ${VARIABLE} is not set, and neither {here} nor a folder above it holds "
        f"{' or '.join(NAMES)}. Name a file, or a recipe: {', '.join(list_recipes())}."
    )


def read_layers(file: Path, *, shorthands: Shorthands, issues: list[Issue]) -> Node:
    """Read a file over everything it includes.

    Included files are relative to the file that names them; a later one wins over an earlier one, and the file itself
    over both.

    Args:
        file: The configuration.
        shorthands: Where bare words stand for mappings.
        issues: Receives every mistake in every file.
    """
    return _read(file, (), shorthands, issues)


def _read(file: Path, above: tuple[Path, ...], shorthands: Shorthands, issues: list[Issue]) -> Node:
    tree = read_file(file, issues)
    if tree is None or not isinstance(tree.value, dict):
        return Node({}, Place(str(file)))
    own = {key: child for key, child in tree.value.items() if key != "include"}
    merged = Node({}, tree.place)
    chain = (*above, file.resolve())
    for entry in _included(tree.value.get("include"), issues):
        try:
            inner = _file_or_recipe(str(entry.value), file.parent)
        except ConfigError as error:
            issues.append(Issue(entry.place, ("include",), str(error), "unread"))
            continue
        if inner.resolve() in chain:
            circle = " -> ".join(part.name for part in (*chain[chain.index(inner.resolve()) :], inner))
            issues.append(
                Issue(entry.place, ("include",), f"the files include each other in a circle: {circle}.", "unread")
            )
            continue
        merged = merge(merged, _read(inner, chain, shorthands, issues), shorthands=shorthands)
    return merge(merged, Node(own, tree.place), shorthands=shorthands)


def _included(node: Node | None, issues: list[Issue]) -> list[Node]:
    """Return the entries of `include`, each holding text."""
    if node is None:
        return []
    entries = node.value if isinstance(node.value, list) else [node]
    valid = []
    for entry in entries:
        if isinstance(entry.value, str) and "${" not in entry.value:
            valid.append(entry)
        else:
            message = "expected a file's or recipe's name, or a list of them; references are not resolved here."
            issues.append(Issue(entry.place, ("include",), message, "unread"))
    return valid


def _file_or_recipe(asked: str | Path, folder: Path) -> Path:
    if isinstance(asked, str) and "/" not in asked and os.sep not in asked and not asked.endswith(_SUFFIXES):
        return recipe_file(asked)
    file = folder / Path(asked).expanduser()
    if file.is_dir():
        inside = [name for name in ("config.yaml", *NAMES) if (file / name).is_file()]
        hint = f" It holds {inside[0]}: name {file / inside[0]}." if inside else ""
        raise ConfigError(f"{file} is a folder; a configuration is a file.{hint}")
    if not file.is_file():
        raise ConfigError(f"There is no file {file}. Recipes are named without a suffix: {', '.join(list_recipes())}.")
    return file


def _recipe_folder() -> Path:
    return Path(str(files("terrazzo") / "recipes"))
