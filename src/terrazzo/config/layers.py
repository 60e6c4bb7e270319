"""Layers of a configuration laid over each other: defaults, included files, the file, overrides.

Mappings merge key by key; lists and values are replaced. A component is replaced where the later layer names another
one, by a bare name or by `name`; keys without a name are laid over the component that is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from terrazzo.config.document import Node, read_text
from terrazzo.config.issue import Issue, Path, Place, dotted

__all__ = ["Shorthands", "merge", "override"]


@dataclass(frozen=True)
class Shorthands:
    """Where something short stands for a mapping.

    Attributes:
        words: For which key a bare word stands: `model: smp` is `model: {name: smp}`. In paths, `*` stands for any
            position of a list.
        lists: For which key a list stands, and what it says besides: `augment: [blur]` is
            `augment: {set: none, transforms: [blur]}`.
    """

    words: Mapping[Path, str] = field(default_factory=dict)
    lists: Mapping[Path, tuple[str, Mapping[str, str]]] = field(default_factory=dict)

    def spelled_out(self, node: Node, path: Path) -> Node:
        """Return the mapping that a node stands for, or the node where it stands for none."""
        pattern = tuple("*" if isinstance(part, int) else part for part in path)
        if isinstance(node.value, str) and pattern in self.words:
            return Node({self.words[pattern]: node}, node.place)
        if isinstance(node.value, list) and pattern in self.lists:
            key, besides = self.lists[pattern]
            return Node({**{name: Node(word, node.place) for name, word in besides.items()}, key: node}, node.place)
        return node


def merge(base: Node, over: Node, *, shorthands: Shorthands, path: Path = ()) -> Node:
    """Lay one tree over another.

    Args:
        base: The earlier layer.
        over: The later layer, which wins.
        shorthands: Where bare words stand for mappings.
        path: Where the two stand in the configuration.
    """
    if isinstance(over.value, dict):
        base = shorthands.spelled_out(base, path)
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    if shorthands.words.get(path) == "name" and "name" in over.value and over.value["name"].value != _name(base):
        return over
    merged = dict(base.value)
    for part, child in over.value.items():
        here = (*path, part)
        merged[part] = merge(merged[part], child, shorthands=shorthands, path=here) if part in merged else child
    return Node(merged, over.place)


def override(tree: Node, text: str, *, shorthands: Shorthands, issues: list[Issue]) -> Node:
    """Lay one override such as `train.epochs=80` over a tree.

    Args:
        tree: All earlier layers.
        text: A dotted key (positions in lists from 0), `=`, and a value in YAML; nothing after `=` is null.
        shorthands: Where bare words stand for mappings.
        issues: Receives what is wrong with it; the tree is then returned as it was.
    """
    place = Place(f'override "{text}"')
    words, equals, value_text = text.partition("=")
    path: Path = tuple(word.strip() for word in words.split("."))
    if not equals or not all(path):
        issues.append(Issue(place, (), "expected key=value, such as train.epochs=80 or model=smp."))
        return tree
    found = len(issues)
    value = read_text(value_text, place.source, issues, one_line=True)
    if value is None or len(issues) > found:
        return tree
    return _Setter(shorthands, issues, place).put(tree, path, value)


class _Setter:
    """Puts a value at a path, through mappings, lists and bare names."""

    def __init__(self, shorthands: Shorthands, issues: list[Issue], place: Place) -> None:
        self._shorthands = shorthands
        self._issues = issues
        self._place = place

    def put(self, node: Node, path: Path, value: Node, done: Path = ()) -> Node:
        """Return the node with the value laid over what stands at the path."""
        if not path:
            return merge(node, value, shorthands=self._shorthands, path=done)
        part, rest = str(path[0]), path[1:]
        if not (isinstance(node.value, list) and part.isdigit()):
            node = self._shorthands.spelled_out(node, done)
        if node.value is None:
            node = Node({}, node.place)
        if isinstance(node.value, list):
            return self._put_in_list(node, (part, rest), value, done)
        if not isinstance(node.value, dict):
            message = f'"{dotted(done)}" is {node.value!r} ({node.place}), which has no keys; give it as a mapping.'
            self._issues.append(Issue(self._place, (*done, *path), message))
            return node
        if self._shorthands.words.get(done) == "name" and path == ("name",) and value.value != _name(node):
            return Node({"name": value}, self._place)
        below = node.value.get(part)
        inner = (
            value
            if below is None and not rest
            else self.put(below or Node({}, self._place), rest, value, (*done, part))
        )
        return Node({**node.value, part: inner}, node.place)

    def _put_in_list(self, node: Node, step: tuple[str, Path], value: Node, done: Path) -> Node:
        part, rest = step
        entries = list(node.value) if isinstance(node.value, list) else []
        if not (part.isascii() and part.isdigit() and int(part) < len(entries)):
            message = (
                f'"{dotted(done)}" is a list of {len(entries)} ({node.place}); "{part}" is no position in it (from 0).'
            )
            self._issues.append(Issue(self._place, (*done, part, *rest), message))
            return node
        entries[int(part)] = self.put(entries[int(part)], rest, value, (*done, int(part)))
        return Node(list(entries), node.place)


def _name(node: Node) -> object:
    """Return the component's name, None where the mapping does not say one."""
    return node.value["name"].value if isinstance(node.value, dict) and "name" in node.value else None
