"""Resolved values -> a RunConfig, or every mistake with its place."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from terrazzo.config.document import Node, node_at
from terrazzo.config.issue import Issue, Path, Place
from terrazzo.config.plain_data import ABSENT, at, child
from terrazzo.config.references import Resolved
from terrazzo.config.run_config import RunConfig, violations
from terrazzo.config.structure import known_keys
from terrazzo.record import nearest

__all__ = ["validate"]

_EXPECTED = "Input should be "
_LONGEST = 60
_VARIABLE = re.compile(r"oc\.env:\s*(\w+)")
_SHORTEST_SECRET = 3
_WORDS = {
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "more than",
}


def validate(tree: Node, resolved: Resolved, issues: list[Issue]) -> RunConfig | None:
    """Check values against the schema, and sections against each other.

    Args:
        tree: Where everything was written.
        resolved: Its values.
        issues: Receives every mistake that is not in it yet.

    Returns:
        The configuration, or None where there are mistakes.
    """
    try:
        return RunConfig.model_validate(resolved.values)
    except ValidationError as error:
        issues += _Describer(tree, resolved).issues(error)
    return None


class _Describer:
    """Turns pydantic's errors into sentences with places."""

    def __init__(self, tree: Node, resolved: Resolved) -> None:
        self._tree = tree
        self._resolved = resolved

    def issues(self, error: ValidationError) -> list[Issue]:
        """Return an issue for each setting that is wrong, those between sections included."""
        by_path: dict[Path, list[ErrorDetails]] = {}
        for details in error.errors(include_url=False):
            by_path.setdefault(self._path(details), []).append(details)
        broken = {path[0] for path in by_path if path}
        found = []
        for path, several in by_path.items():
            if self._is_known(path) or (_is_mismatch(several) and any(_is_below(other, path) for other in by_path)):
                continue
            absent = all(details["type"] == "missing" for details in several)
            sentence = self._sentence(path, several)
            found.append(Issue(self._place(path), path, sentence, "absent" if absent else "wrong"))
        if all(details["type"] != "rule" for several in by_path.values() for details in several):
            for path, message in violations(self._sound_sections(broken)):
                found.append(Issue(self._place(path), path, self._without_secrets(message)))
        return found

    def _is_known(self, path: Path) -> bool:
        """Whether the value could not be resolved, which has been said."""
        return any(path[: len(failed)] == failed for failed in self._resolved.failed)

    def _path(self, details: ErrorDetails) -> Path:
        """Return the path of the setting: pydantic also names the members of unions that it tried."""
        value: object = self._resolved.values
        path: Path = ()
        *parents, last = details["loc"] or ("",)
        for part in parents:
            value, path = _descend(value, path, part)
        if details["type"] == "missing" or (details["type"] == "rule" and last):
            return (*path, last)
        value, path = _descend(value, path, last)
        return (*path, "name") if details["type"] == "component_name" and isinstance(value, Mapping) else path

    def _place(self, path: Path) -> Place:
        """Return where the value stands, or the nearest section around it."""
        for length in range(len(path), -1, -1):
            node = node_at(self._tree, path[:length])
            if node is not None:
                return node.place
        return self._tree.place

    def _sentence(self, path: Path, several: Sequence[ErrorDetails]) -> str:
        details = several[0]
        if details["type"] == "extra_forbidden":
            keys = known_keys(RunConfig, path[:-1], self._resolved.values)
            hint = nearest(str(path[-1]), keys) or f" Known here: {', '.join(keys)}."
            return f"unknown key.{hint}"
        if details["type"] == "missing":
            return "is missing; it must be given."
        expected = dict.fromkeys(_expected(each) for each in several)
        if all(expected):
            given = self._shown(path, details["input"])
            quotes = " Put it in quotes." if _needs_quotes(several) else ""
            return f"expected {' or '.join(str(text) for text in expected)}, got {given}.{quotes}"
        message = next(_message(each) for each in several if not _expected(each))
        return self._without_secrets(message)

    def _shown(self, path: Path, value: object) -> str:
        """Show a value as YAML has it; one from the environment by its reference alone."""
        if path in self._resolved.references:
            return self._resolved.references[path]
        if isinstance(value, Mapping):
            return "a mapping"
        if isinstance(value, list | tuple):
            return f"a list of {len(value)}"
        text = json.dumps(value, ensure_ascii=False, default=str)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."

    def _without_secrets(self, message: str) -> str:
        """Write references for what came from the environment; a rule's sentence may quote any part of it."""
        secrets: dict[str, str] = {}
        for path, reference in self._resolved.references.items():
            secrets[str(at(self._resolved.values, path))] = reference
            for name in _VARIABLE.findall(reference):
                secrets[os.environ.get(name, "")] = f"${{oc.env:{name}}}"
        for value in sorted(secrets, key=len, reverse=True):
            if len(value) >= _SHORTEST_SECRET:
                message = message.replace(value, secrets[value])
        return message

    def _sound_sections(self, broken: set[str | int]) -> dict[str, Any]:
        """Return the sections without mistakes, checked one by one."""
        sections: dict[str, Any] = {}
        for name, field in RunConfig.model_fields.items():
            if name in broken:
                continue
            if name not in self._resolved.values:
                sections[name] = field.get_default(call_default_factory=True)
                continue
            annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            sections[name] = TypeAdapter[Any](annotation).validate_python(self._resolved.values[name])
        return sections


def _descend(value: object, path: Path, part: str | int) -> tuple[object, Path]:
    """Go one step down where the part is a key or a position; stay where it only names a member of a union."""
    below = child(value, part)
    return (value, path) if below is ABSENT else (below, (*path, part))


def _is_below(path: Path, above: Path) -> bool:
    return len(path) > len(above) and path[: len(above)] == above


def _is_mismatch(several: Sequence[ErrorDetails]) -> bool:
    """Whether these follow from what is wrong below: another type of a union, a list counted without its errors."""
    return all(details["type"].endswith("_type") or details["type"] == "too_short" for details in several)


def _expected(details: ErrorDetails) -> str:
    """Return what pydantic expected, empty where its message says something else."""
    if details["type"] in {"model_type", "model_attributes_type", "dict_type"}:
        return "a mapping"
    if details["type"] in {"tuple_type", "list_type"}:
        return "a list"
    if details["type"] in {"too_short", "too_long"}:
        count = re.search(r"at (least|most) \d+ items?", details["msg"])
        return count[0] if count else ""
    message = details["msg"]
    if not message.startswith(_EXPECTED):
        return ""
    words = re.split(r", (?:unable to|got a)", message.removeprefix(_EXPECTED))[0]
    for theirs, ours in _WORDS.items():
        words = words.replace(theirs, ours)
    return words


def _message(details: ErrorDetails) -> str:
    text = details["msg"].removeprefix("Value error, ")
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _needs_quotes(several: Sequence[ErrorDetails]) -> bool:
    return any(details["type"] == "string_type" and isinstance(details["input"], int | float) for details in several)
