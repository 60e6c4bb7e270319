"""What a key of the configuration means, what it may be, who sets it, and where."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

from terrazzo.config.document import Node, plain
from terrazzo.config.files import find_configuration, list_recipes, recipe_file
from terrazzo.config.issue import Issue, Path, dotted
from terrazzo.config.keys import Key, all_keys, constraints, options, type_words
from terrazzo.config.load import DEFAULTS, load_plugins, read_tree
from terrazzo.config.run_config import RunConfig
from terrazzo.errors import ConfigError
from terrazzo.record import Record, Table

__all__ = ["Explanation", "Setting", "explain"]

_ENOUGH = 5


@dataclass(frozen=True)
class Setting:
    """Where something sets a key.

    Attributes:
        value: As it is written there; references are left as they are.
        place: File and line, or the override.
    """

    value: object
    place: str


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """All about one key, or one component.

    Attributes:
        key: Dotted, as it is written in an override; `*` stands for any position of a list.
        kind: "setting", "section" or "component".
        component: The component that has the key, such as "optimizer: adamw"; empty for what all have.
        also: Names of other components that have a key of this name at this place.
        description: What it is, in sentences.
        type: What it may be, in words.
        constraints: Limits, such as "at least 1".
        choices: Values that may be chosen by name.
        default: Plain data; None where `required`.
        required: Whether it must be given.
        keys: Keys below it: name, type, default and first sentence.
        recipes: By recipe what it sets.
        here: What the present configuration sets; None where it leaves the default.
        configuration: The present configuration's file; None where there is none.
    """

    key: str
    kind: str
    component: str
    also: tuple[str, ...]
    description: str
    type: str
    constraints: tuple[str, ...]
    choices: tuple[str, ...]
    default: object
    required: bool
    keys: tuple[Mapping[str, Any], ...]
    recipes: Mapping[str, Setting]
    here: Setting | None
    configuration: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            **{name: value for name, value in vars(self).items() if name not in {"recipes", "here"}},
            "also": list(self.also),
            "constraints": list(self.constraints),
            "choices": list(self.choices),
            "keys": [dict(row) for row in self.keys],
            "recipes": {name: vars(setting) for name, setting in self.recipes.items()},
            "here": None if self.here is None else vars(self.here),
        }


def explain(asked: str, source: str | None = None, overrides: Sequence[str] = ()) -> list[Explanation]:
    """Return what a key means: one explanation for each component that has it.

    Args:
        asked: A dotted key (`optimizer.lr`), a section (`train`), a component by its place (`model.hardnet70`,
            `model.hardnet70.growth`) or by its bare name (`hardnet70`).
        source: The present configuration; where None is given, the one that is found, if any.
        overrides: Settings laid over it.

    Raises:
        ConfigError: Nothing has that name; the nearest names are in the message.
    """
    tree, file = _present(source, overrides)
    keys = list(all_keys(RunConfig))
    recipes = {name: read_tree(recipe_file(name), (), [])[0] for name in list_recipes()}
    path: Path = tuple("*" if part.isdigit() else part for part in asked.strip().strip(".").split("."))
    found = [_of_key(key, asked, recipes, tree, file, keys) for key in _matching(keys, path, tree)]
    found = found or [_of_component(*each, recipes, tree, file, keys) for each in _members(keys, path)]
    if not found:
        raise ConfigError(f'No setting, section or component is called "{asked}".{_nearest(asked, keys)}')
    return found


def _present(source: str | None, overrides: Sequence[str]) -> tuple[Node | None, FilePath | None]:
    """Return the present configuration's tree and file, its plug-ins loaded; None where there is none.

    Raises:
        ConfigError: It was named, and there is none.
    """
    try:
        file = find_configuration(source)
    except ConfigError:
        if source is not None or overrides:
            raise
        return None, None
    issues: list[Issue] = []
    tree, _ = read_tree(file, overrides, issues)
    plugins = tree.value.get("plugins") if isinstance(tree.value, dict) else None
    load_plugins(tree, plain(plugins) if plugins else None, issues)
    return tree, file


def _matching(keys: Sequence[Key], path: Path, tree: Node | None) -> list[Key]:
    """Return the keys of a path; of several components' those of the one that is chosen, if it has the key."""
    plain_ones = [key for key in keys if key.path == path]
    if chosen := [key for key in plain_ones if all(_chosen(tree, at) == name for at, name in key.within)]:
        plain_ones = chosen
    return _distinct(plain_ones) or _distinct([key for key in keys if path in _spelled(key)])


def _distinct(keys: Sequence[Key]) -> list[Key]:
    """Return the keys without those that several members inherit from one record."""
    seen: dict[tuple[int, Path], Key] = {}
    for key in keys:
        seen.setdefault((id(key.field), key.path), key)
    return list(seen.values())


def _spelled(key: Key) -> Iterator[Path]:
    """Yield the paths by which a component's key is called: with its names at their places, or by its name alone."""
    path: Path = ()
    for position, part in enumerate(key.path):
        path = (*path, part)
        path += tuple(name for at, name in key.within if at == key.path[: position + 1])
    yield path
    yield tuple(part for part in path if part != "*")
    if key.within:
        at, name = key.within[-1]
        yield (name, *key.path[len(at) :])


def _members(keys: Sequence[Key], path: Path) -> Iterator[tuple[Path, str, Table]]:
    """Yield the components that a path names: a family's place and a member's name, or a bare name."""
    bare = tuple(part for part in path if part != "*")
    seen = set()
    for key in keys:
        for table in key.tables:
            name = str(bare[-1])
            named = bare[:-1] in {(), (table.family,), tuple(part for part in key.path if part != "*")}
            inside = any(bare[:-1] == tuple(p for p in spelled if p != "*") for spelled in _spelled(key))
            if name in table and (named or inside) and (table.family, name) not in seen:
                seen.add((table.family, name))
                yield key.path, name, table


def _of_key(
    key: Key, asked: str, recipes: Mapping[str, Node], tree: Node | None, file: FilePath | None, keys: Sequence[Key]
) -> Explanation:
    annotation, metadata = key.field.annotation, key.field.metadata
    below = [other for other in keys if other.path[:-1] == key.path and other.within == key.within]
    required = key.field.is_required()
    shown = _numbered(asked, key.path)
    return Explanation(
        key=dotted(shown),
        kind="section" if below else "setting",
        component=_owner(key),
        also=_others(key, keys),
        description=_sentences(key.field.description or ""),
        type=type_words(annotation, metadata),
        constraints=tuple(constraints(annotation, metadata)),
        choices=tuple(options(annotation, metadata)) or tuple(name for table in key.tables for name in table),
        default=None if required else key.default,
        required=required,
        keys=tuple(_row(other) for other in below),
        recipes=_set_by(recipes, key.path, key.within),
        here=_set_in(tree, shown, key.within),
        configuration=str(file) if file else None,
    )


def _of_component(
    path: Path, name: str, table: Table, recipes: Mapping[str, Node], tree: Node | None, file: FilePath | None,
    keys: Sequence[Key],
) -> Explanation:  # fmt: skip
    record = table.find(name)
    within = (path, name)
    below = [key for key in keys if key.within and key.within[-1] == within and key.path[:-1] == path]
    rows = {str(key.path[-1]): _row(key) for key in below if key.path[-1] != "name"}
    using = {recipe: setting for recipe, setting in _set_by(recipes, path, ()).items() if _names(setting.value, name)}
    here = _set_in(tree, path, ())
    return Explanation(
        key=f"{dotted(path)}={name}" if "*" not in path else f"{dotted(path)}: {name}",
        kind="component",
        component=f"one of the {table.family}",
        also=(),
        description=_sentences(inspect.getdoc(record) or ""),
        type="component",
        constraints=(),
        choices=(),
        default=None,
        required=False,
        keys=tuple(rows.values()),
        recipes=using,
        here=here if here is not None and _names(here.value, name) else None,
        configuration=str(file) if file else None,
    )


def _row(key: Key) -> dict[str, Any]:
    """Return one line about a key."""
    return {
        "key": str(key.path[-1]),
        "type": type_words(key.field.annotation, key.field.metadata),
        "default": "must be given" if key.field.is_required() else _short(key.default),
        "description": _sentences(key.field.description or "").partition("\n")[0],
    }


def _short(default: object) -> object:
    """Return a component's name for its default, since its keys have lines of their own."""
    return default["name"] if isinstance(default, Mapping) and "name" in default else default


def _owner(key: Key) -> str:
    if not key.within:
        return ""
    path, name = key.within[-1]
    return f"{dotted(path)}: {name}"


def _others(key: Key, keys: Sequence[Key]) -> tuple[str, ...]:
    if not key.within:
        return ()
    names = [other.within[-1][1] for other in keys if other.path == key.path and other.within]
    return tuple(name for name in dict.fromkeys(names) if name != key.within[-1][1])


def _sentences(text: str) -> str:
    """Return a docstring's paragraphs, each on one line; doctests and sections for programmers are left out."""
    told = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith((">>>", "Args:", "Attributes:", "Raises:", "Returns:")):
            break
        told.append(" ".join(paragraph.split()))
    return "\n".join(told)


def _numbered(asked: str, path: Path) -> Path:
    """Return a key's path with the positions that were asked for."""
    numbers = iter([int(part) for part in asked.split(".") if part.isdigit()])
    return tuple(next(numbers, part) if part == "*" else part for part in path)


def _chosen(tree: Node | None, path: Path) -> str | None:
    """Return the name of the component that stands at a path: the configuration's, else the default's."""
    value = plain(node) if (node := _at(tree, path)) is not None else None
    name = value.get("name") if isinstance(value, Mapping) else value
    if isinstance(name, str):
        return name
    field = RunConfig.model_fields.get(str(path[0])) if len(path) == 1 else None
    default = None if field is None or field.is_required() else field.default
    return str(default.name) if isinstance(default, Record) and hasattr(default, "name") else None


def _set_by(recipes: Mapping[str, Node], path: Path, within: Sequence[tuple[Path, str]]) -> dict[str, Setting]:
    found = {}
    for name, tree in recipes.items():
        setting = _set_in(tree, path, within)
        if setting is not None:
            found[name] = setting
    return found


def _set_in(tree: Node | None, path: Path, within: Sequence[tuple[Path, str]]) -> Setting | None:
    """Return what a file sets at a path, of the components on the way; None where the default holds."""
    if any(_chosen(tree, at) != name for at, name in within if "*" not in at):
        return None
    node = _at(tree, path)
    if node is None or node.place.source == DEFAULTS:
        return None
    return Setting(plain(node), str(node.place))


def _at(tree: Node | None, path: Path) -> Node | None:
    """Return the node at a path; of any position in a list the whole list."""
    node = tree
    for part in path:
        if node is None or part == "*":
            return node
        if isinstance(node.value, dict):
            node = node.value.get(str(part))
        elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            return None
    return node


def _names(value: object, name: str) -> bool:
    """Whether what is written names a component, at its top or in a list."""
    if isinstance(value, list):
        return any(_names(item, name) for item in value)
    return value == name or (isinstance(value, Mapping) and value.get("name") == name)


def _nearest(asked: str, keys: Sequence[Key]) -> str:
    """Return the nearest names: those that end alike, then those that are spelled alike."""
    names = dict.fromkeys(dotted(key.path) for key in keys)
    members = dict.fromkeys(name for key in keys for table in key.tables for name in table)
    last = asked.rpartition(".")[2]
    same = [name for name in names if name.rpartition(".")[2] == last]
    alike = get_close_matches(asked, [*names, *members], n=_ENOUGH, cutoff=0.8)
    ends = get_close_matches(last, dict.fromkeys(name.rpartition(".")[2] for name in names), n=1, cutoff=0.75)
    near = [name for name in names if ends and name.rpartition(".")[2] == ends[0]]
    found = list(dict.fromkeys([*same, *alike, *near]))[:_ENOUGH]
    return f" Did you mean {' or '.join(found)}?" if found else " `terrazzo config show` prints all settings."
