"""A file, a recipe and overrides -> one checked RunConfig."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path as FilePath

from terrazzo.config.document import Node, node_at
from terrazzo.config.dump import carry
from terrazzo.config.files import find_configuration, read_layers
from terrazzo.config.issue import Issue, Path, Place, raise_issues
from terrazzo.config.layers import Shorthands, merge, override
from terrazzo.config.references import resolve, stamp_time
from terrazzo.config.run_config import DEFAULT_PATHS, RunConfig
from terrazzo.config.structure import component_fields, record_defaults
from terrazzo.config.validation import validate
from terrazzo.errors import ConfigError
from terrazzo.record import load_plugin

__all__ = ["DEFAULTS", "load_config", "load_plugins", "read_tree"]

DEFAULTS = "defaults"
"""Names the place of what no file says."""

_LISTS: Mapping[Path, tuple[str, Mapping[str, str]]] = {
    ("data", "classes"): ("items", {}),
    ("augment",): ("transforms", {"set": "none"}),
}


def load_config(path_or_recipe: str | FilePath | None = None, *overrides: str) -> RunConfig:
    """Load a configuration.

    Args:
        path_or_recipe: A YAML file, or the name of a shipped recipe. None: `$TERRAZZO_CONFIG` says, else the nearest
            `terrazzo.yaml` or `config.yml` from the working directory upward.
        *overrides: `key=value`, such as `train.epochs=80` or `model=smp`; later ones win.

    Returns:
        The configuration, complete and checked.

    Raises:
        ConfigError: Every mistake at once, each with file, line, setting, and what was expected.
    """
    issues: list[Issue] = []
    tree, source = read_tree(find_configuration(path_or_recipe), overrides, issues)
    tree = stamp_time(Node(tree.value, Place(source.source)), datetime.now().astimezone())
    resolved = resolve(tree, record_defaults(RunConfig), issues)
    load_plugins(tree, resolved.values.get("plugins"), issues)
    config = validate(tree, resolved, issues)
    raise_issues(issues)
    if config is None:
        raise ConfigError(f"{source}: the configuration is not valid.")
    return config.carrying(carry(config, resolved.values, resolved.references))


def read_tree(file: FilePath, overrides: Sequence[str], issues: list[Issue]) -> tuple[Node, Place]:
    """Return everything that is written, laid over the defaults that files may build on; nothing is resolved yet.

    Args:
        file: The configuration.
        overrides: `key=value`, laid over it.
        issues: Receives every mistake of writing.

    Returns:
        The tree, each value with its place, and the place of the file.
    """
    components = component_fields(RunConfig)
    words = dict.fromkeys(components, "name")
    shorthands = Shorthands(words={**words, ("augment",): "set"}, lists=_LISTS)
    tree = read_layers(file, shorthands=shorthands, issues=issues)
    source = tree.place
    tree = merge(_defaults(file, components), tree, shorthands=shorthands)
    for text in overrides:
        tree = override(tree, text, shorthands=shorthands, issues=issues)
    return tree, source


def _defaults(file: FilePath, components: dict[Path, str | None]) -> Node:
    """Return the lowest layer: what files may build on, and which components their keys are laid over."""
    place = Place(DEFAULTS)
    layer: dict[str, Node] = {
        "name": Node(file.stem, place),
        "paths": Node({key: Node(value, place) for key, value in DEFAULT_PATHS.items()}, place),
        "prepare": Node({"folder": Node("${paths.prepared}", place)}, place),
    }
    for path, name in components.items():
        if name is not None and len(path) == 1:
            layer[str(path[0])] = Node({"name": Node(name, place)}, place)
    return Node(layer, place)


def load_plugins(tree: Node, plugins: object, issues: list[Issue]) -> None:
    """Run the files under `plugins:`, so that their components have names when the schema is checked."""
    if not isinstance(plugins, list):
        return
    for position, plugin in enumerate(plugins):
        if not isinstance(plugin, str):
            continue
        try:
            load_plugin(FilePath(plugin))
        except ConfigError as error:
            node = node_at(tree, ("plugins", position))
            place = tree.place if node is None else node.place
            issues.append(Issue(place, ("plugins", position), str(error).removeprefix("plugins: ")))
