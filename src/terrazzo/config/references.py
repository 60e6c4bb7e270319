"""Interpolation: `${paths.x}` and `${oc.env:NAME}` become values, and what came from the environment is remembered.

OmegaConf resolves; here each failure is given its place, and each value that depends on the environment its reference,
so that a dumped configuration says `${oc.env:TOKEN}` and never the token.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import GrammarParseError, InterpolationKeyError, OmegaConfBaseException

from terrazzo.config.document import Node, node_at, plain, scalars
from terrazzo.config.issue import Issue, Path, dotted
from terrazzo.config.plain_data import replaced
from terrazzo.record import nearest

__all__ = ["Resolved", "escape", "resolve", "stamp_time"]

_MISSING = "???"
_BODY = re.compile(r"\$\{([^${}]*)\}")
_NOW = re.compile(r"(?<!\\)\$\{now:([^${}]*)\}")
_KEY_PART = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True)
class Resolved:
    """A tree whose references are resolved.

    Attributes:
        values: Plain mappings, lists and values.
        references: For each value that came from the environment, what to write in its place.
        failed: Paths without a value; each has its issue, and None stands there.
    """

    values: dict[str, Any]
    references: dict[Path, str] = field(default_factory=dict)
    failed: frozenset[Path] = frozenset()


def stamp_time(tree: Node, moment: datetime) -> Node:
    """Replace `${now:%Y%m%d-%H%M%S}` by one moment, the same in the whole configuration."""
    if isinstance(tree.value, dict):
        return Node({key: stamp_time(child, moment) for key, child in tree.value.items()}, tree.place)
    if isinstance(tree.value, list):
        return Node([stamp_time(child, moment) for child in tree.value], tree.place)
    if isinstance(tree.value, str) and "${now:" in tree.value:
        return Node(_NOW.sub(lambda found: moment.strftime(found[1].strip()), tree.value), tree.place)
    return tree


def escape(text: str) -> str:
    r"""Return text such that resolving it gives the text itself.

    >>> print(escape("price in ${currency}"))
    price in \${currency}
    """
    return re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + r"\${", text)


def resolve(tree: Node, defaults: dict[str, Any], issues: list[Issue]) -> Resolved:
    """Resolve every reference of a tree.

    Args:
        tree: What the files and overrides say.
        defaults: Values that references may name although no file says them.
        issues: Receives what cannot be resolved, and values still to be given (`???`).
    """
    values = plain(tree)
    failed: set[Path] = set()
    waiting: list[tuple[Path, Node]] = []
    for path, node in scalars(tree):
        if node.value == _MISSING:
            message = f"needs a value: write it in the file, or give {dotted(path)}=VALUE."
            issues.append(Issue(node.place, path, message))
            failed.add(path)
        elif isinstance(node.value, str) and "${" in node.value:
            if _is_well_formed(node.value):
                waiting.append((path, node))
            else:
                issues.append(
                    Issue(node.place, path, f'"{node.value}" is no reference; write ${{a.b}} or ${{oc.env:NAME}}.')
                )
                failed.add(path)
    for path in failed:
        # So OmegaConf knows that what depends on it has no value either.
        values = replaced(values, path, _MISSING)
    completed = _under(defaults, _mapping(values))
    known = _dotted_keys(completed)
    container = OmegaConf.create(completed)
    resolved: dict[Path, Any] = {}
    for path, node in waiting:
        try:
            resolved[path] = _look_up(container, path)
        except OmegaConfBaseException as error:
            failed.add(path)
            message = _explain(error, str(node.value), [str(other.value) for _, other in waiting], known)
            if message:
                absent = isinstance(error, InterpolationKeyError)
                issues.append(Issue(node.place, path, message, "absent" if absent else "wrong"))
    sources = _Sources(tree, resolved)
    references = {path: sources.reference(path) for path in resolved if sources.depends(path)}
    for path in (*resolved, *failed):
        values = replaced(values, path, resolved.get(path))
    return Resolved(_mapping(values), references, frozenset(failed))


class _Sources:
    """Tells which values depend on the environment, and writes them without other references."""

    def __init__(self, tree: Node, resolved: dict[Path, Any]) -> None:
        self._tree = tree
        self._resolved = resolved

    def depends(self, path: Path) -> bool:
        """Whether a value comes, directly or through others, from a resolver such as `oc.env`."""
        text = self._text(path)
        if text is None:
            return False
        return _is_nested(text) or any(
            ":" in body or any(self.depends(leaf) for leaf in self._leaves(path, body)) for body in _BODY.findall(text)
        )

    def reference(self, path: Path) -> str:
        """Return the value's text with every reference but the environment's written out."""
        text = self._text(path) or ""
        return (
            text if _is_nested(text) or "\\" in text else _BODY.sub(lambda found: self._written_out(path, found), text)
        )

    def _written_out(self, path: Path, found: re.Match[str]) -> str:
        leaves = self._leaves(path, found[1])
        if ":" in found[1] or len(leaves) != 1 or leaves[0] != _target(path, found[1]):
            return found[0]
        if self.depends(leaves[0]):
            return self.reference(leaves[0])
        node = node_at(self._tree, leaves[0])
        value = str(self._resolved.get(leaves[0], node.value if node is not None else None))
        return found[0] if "\\" in value or "${" in value else value

    def _leaves(self, path: Path, body: str) -> list[Path]:
        target = _target(path, body)
        node = node_at(self._tree, target)
        return [] if node is None else [leaf for leaf, _ in scalars(node, target)]

    def _text(self, path: Path) -> str | None:
        """Return the reference at a path that could be resolved; so circles never come here."""
        node = node_at(self._tree, path)
        return node.value if path in self._resolved and node is not None and isinstance(node.value, str) else None


def _is_nested(text: str) -> bool:
    return "${" in _BODY.sub("", text)


def _target(path: Path, body: str) -> Path:
    """Return the path that a reference names; leading dots count upward from where it stands."""
    key = body.strip()
    parts: Path = tuple(int(part) if part.isdecimal() else part for part in _KEY_PART.findall(key))
    dots = len(key) - len(key.lstrip("."))
    return (*path[: len(path) - dots], *parts) if dots else parts


def _is_well_formed(text: str) -> bool:
    try:
        OmegaConf.create({"text": text})
    except GrammarParseError:
        return False
    return True


def _mapping(values: object) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise TypeError("the root of a configuration is a mapping")
    return values


def _look_up(container: DictConfig, path: Path) -> object:
    value: Any = container
    for part in path:
        value = value[part]
    return OmegaConf.to_container(value, resolve=True) if isinstance(value, DictConfig | ListConfig) else value


def _explain(error: OmegaConfBaseException, text: str, texts: list[str], known: list[str]) -> str:
    """Say in one line what cannot be resolved; nothing where another value that this one names says it."""
    reason = str(error).splitlines()[0]
    if "Missing mandatory value" in reason:
        return ""
    if variable := re.search(r"Environment variable '(.*)' not found", reason):
        name = variable[1]
        if name not in text and any(name in other for other in texts):
            return ""
        return f"the environment variable {name} is not set; set it, or write ${{oc.env:{name},default}}."
    if key := re.search(r"Interpolation key '(.*)' not found", reason):
        if key[1] not in text and any(key[1] in other for other in texts):
            return ""
        return f'"{text}" names {key[1]}, which is not there.{nearest(key[1], known)}'
    if "Recursive" in reason:
        return f'"{text}" refers to itself, directly or through others.'
    return f'"{text}" cannot be resolved: {reason[0].lower()}{reason[1:]}.'


def _under(defaults: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return the values, completed by defaults where a mapping lacks a key."""
    both = {**defaults, **values}
    for key in defaults.keys() & values.keys():
        if isinstance(defaults[key], dict) and isinstance(values[key], dict):
            both[key] = _under(defaults[key], values[key])
    return both


def _dotted_keys(values: object, prefix: str = "") -> list[str]:
    if not isinstance(values, dict):
        return []
    own = [f"{prefix}{key}" for key in values]
    return own + [inner for key, child in values.items() for inner in _dotted_keys(child, f"{prefix}{key}.")]
