"""YAML text -> a tree whose every value knows its file and line.

Only plain YAML 1.2 values exist here: text, numbers, true, false, null, lists and mappings. So `yes`, `on` and dates
stay text, `1e-3` is a number, and a tag (`!!python/object`) is an error: nothing in a file can run code.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath

import yaml

from terrazzo.config.issue import Issue, Path, Place

__all__ = ["PLAIN_TYPES", "Node", "Scalar", "node_at", "plain", "read_file", "read_text", "scalars"]

Scalar = str | int | float | bool | None

_STANDARD = "tag:yaml.org,2002:"
_SPECIAL = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}

PLAIN_TYPES: dict[str, re.Pattern[str]] = {
    f"{_STANDARD}null": re.compile(r"(~|null|Null|NULL|)\Z"),
    f"{_STANDARD}bool": re.compile(r"(true|True|TRUE|false|False|FALSE)\Z"),
    f"{_STANDARD}int": re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"),
    f"{_STANDARD}float": re.compile(
        r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z"
    ),
}
"""What unquoted text is read as, by YAML tag: the core schema of YAML 1.2, section 10.3.2."""


@dataclass(frozen=True)
class Node:
    """A value and where it was written: for a mapping's entry the line of its key, for a list's entry its own."""

    value: Scalar | dict[str, "Node"] | list["Node"]
    place: Place


class _Loader(yaml.SafeLoader):
    """Composes nodes; their values are read here, by the rules of YAML 1.2."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern in PLAIN_TYPES.items():
    _Loader.add_implicit_resolver(_tag, _pattern, None)


def read_file(file: FilePath, issues: list[Issue]) -> Node | None:
    """Read a YAML file; mistakes are added to `issues`, and None is returned where no mapping could be read."""
    source = _shown(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        issues.append(Issue(Place(source), (), f"is not UTF-8 text (byte {error.start}); save it as UTF-8.", "unread"))
        return None
    except OSError as error:
        issues.append(Issue(Place(source), (), f"cannot be read: {error.strerror}.", "unread"))
        return None
    tree = read_text(text, source, issues)
    if tree is None:
        return None
    if tree.value is None:
        return Node({}, tree.place)
    if not isinstance(tree.value, dict):
        issues.append(
            Issue(Place(source, 1), (), "expected a mapping of sections such as `data:` and `model:`.", "unread")
        )
        return None
    return tree


def read_text(text: str, source: str, issues: list[Issue], *, one_line: bool = False) -> Node | None:
    """Read YAML text.

    Args:
        text: One YAML document.
        source: How its place is named in messages.
        issues: Receives each mistake.
        one_line: The text is an override's value: places have no line.

    Returns:
        The tree, or None where the text is no YAML.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        issues.append(_syntax_issue(error, source, one_line=one_line))
        return None
    except yaml.reader.ReaderError as error:
        message = f"holds the character {error.character!r} at position {error.position}, which YAML does not allow."
        issues.append(Issue(Place(source), (), message, "unread"))
        return None
    if node is None:
        return Node(None, Place(source))
    reader = _Reader(source, issues, one_line=one_line)
    return Node(reader.value(node, ()), Place(source))


def plain(node: Node) -> object:
    """Return a tree's values without their places."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def scalars(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Yield every value that is no list and no mapping, with its path."""
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from scalars(child, (*path, key))
    elif isinstance(node.value, list):
        for position, child in enumerate(node.value):
            yield from scalars(child, (*path, position))
    else:
        yield path, node


def node_at(tree: Node, path: Path) -> Node | None:
    """Return the node at a path, or None where nothing was written there."""
    for part in path:
        children = tree.value
        if isinstance(children, dict) and str(part) in children:
            tree = children[str(part)]
        elif isinstance(children, list) and isinstance(part, int) and 0 <= part < len(children):
            tree = children[part]
        else:
            return None
    return tree


class _Reader:
    """Turns composed YAML nodes into our tree, noting mistakes on the way."""

    def __init__(self, source: str, issues: list[Issue], *, one_line: bool) -> None:
        self._source = source
        self._issues = issues
        self._one_line = one_line
        self._open: list[yaml.Node] = []

    def value(self, node: yaml.Node, path: Path) -> Scalar | dict[str, Node] | list[Node]:
        """Return the value of a YAML node."""
        if any(node is outer for outer in self._open):
            self._note(node, path, "an alias refers to the value that holds it.")
            return None
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                self._check_tag(node, path, "seq")
                return [
                    Node(self.value(child, (*path, position)), self._place(child))
                    for position, child in enumerate(node.value)
                ]
            return self._scalar(node, path)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Node]:
        self._check_tag(node, path, "map")
        merged: dict[str, Node] = {}
        found: dict[str, Node] = {}
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._note(key, path, "a key must be a word, not a list or a mapping.")
                continue
            if key.value == "<<" and key.style is None:
                merged = {**self._merged(child, path), **merged}
                continue
            inner = (*path, key.value)
            if key.value in found:
                first = found[key.value].place.line
                where = "" if first is None else f" (first in line {first})"
                self._note(key, inner, f"the key stands twice{where}; keep one.")
                continue
            found[key.value] = Node(self.value(child, inner), self._place(key))
        return {**merged, **found}

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Node]:
        """Return the entries that `<<` brings in; of several mappings the first wins."""
        merged: dict[str, Node] = {}
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(source, yaml.MappingNode):
                value = self.value(source, path)
                merged = {**(value if isinstance(value, dict) else {}), **merged}
            else:
                self._note(source, path, "`<<` takes a mapping or a list of mappings.")
        return merged

    def _scalar(self, node: yaml.Node, path: Path) -> Scalar:
        text = str(node.value)
        if node.tag in PLAIN_TYPES:
            return _read_scalar(text, node.tag)
        self._check_tag(node, path, "str")
        return text

    def _check_tag(self, node: yaml.Node, path: Path, expected: str) -> None:
        if node.tag != _STANDARD + expected:
            tag = node.tag.replace(_STANDARD, "!!")
            self._note(node, path, f"the tag {tag} is not allowed; a file holds plain values only.")

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._source, None if self._one_line else node.start_mark.line + 1)

    def _note(self, node: yaml.Node, path: Path, message: str) -> None:
        self._issues.append(Issue(self._place(node), path, message))


def _read_scalar(text: str, tag: str) -> Scalar:
    """Read unquoted text; what an explicit tag claims wrongly stays text, and the schema refuses it."""
    if PLAIN_TYPES[tag].match(text) is None:
        return text
    if tag.endswith("null"):
        return None
    if tag.endswith("bool"):
        return text.lower() == "true"
    if tag.endswith("int"):
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    return float(_SPECIAL.get(text.lower(), text))


def _syntax_issue(error: yaml.MarkedYAMLError, source: str, *, one_line: bool) -> Issue:
    mark = error.problem_mark or error.context_mark
    line = None if mark is None or one_line else mark.line + 1
    context = f" {error.context}" if error.context else ""
    message = f"is no valid YAML{context}: {error.problem}."
    lines = mark.buffer.split("\n") if mark is not None and mark.buffer is not None else []
    if mark is not None and mark.line < len(lines) and "${" in lines[mark.line]:
        message += ' Inside [ ] and { } put "${...}" in quotes.'
    elif error.problem and "\\t" in error.problem:
        message += " Indent with spaces, not tabs."
    return Issue(Place(source, line), (), message, "unread")


def _shown(file: FilePath) -> str:
    """Name a file relative to the working directory where it lies below it."""
    here = FilePath.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)
