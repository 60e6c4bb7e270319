"""What a command line asks to vary: `seed=1,2,3 model=smp,trm optimizer.lr=1e-4:1e-2:log4 data.fold=all`.

An argument is KEY=VALUES. Values are parted by commas outside quotes and brackets; each is YAML, as in any override, or
a range. One value alone is an ordinary override; several make an axis, and the axes a grid. Keys parted by colons vary
together: `model:loss=trm:steps,hardnet70:ce`.
"""

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import model_validator

from terrazzo.config.document import plain, read_text
from terrazzo.config.issue import Issue
from terrazzo.errors import ConfigError
from terrazzo.record import Record
from terrazzo.sweep.ranges import Span, expanded, open_span
from terrazzo.sweep.splitting import split_outside

__all__ = ["ALL", "FOLD", "Assignment", "Axis", "Space", "read_space", "spelled"]

FOLD, ALL = "data.fold", "all"
"""`data.fold=all` stands for every fold that the configuration has."""
MOST_TRIALS = 10_000

_LINE_ENDS = re.compile("[\x85\u2028\u2029]")


class Axis(Record):
    """Settings that vary together, nearly always one."""

    keys: tuple[str, ...]
    """Dotted keys."""
    choices: tuple[tuple[Any, ...], ...] = ()
    """Plain values to take, each with one part for each key; empty where there is a span."""
    span: Span | None = None
    """Range to draw numbers from, of one key."""

    @model_validator(mode="after")
    def _one_of_two(self) -> "Axis":
        if bool(self.choices) == (self.span is not None):
            raise ValueError("an axis has choices or a span")
        return self


class Assignment(Record):
    """One argument of the command line."""

    text: str
    """As it was given."""
    axis: Axis | None = None
    """What varies; None for an ordinary override."""


class Space(Record):
    """All arguments after the configuration, in their order: later overrides win over earlier ones."""

    assignments: tuple[Assignment, ...]
    """The arguments."""

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What varies."""
        return tuple(one.axis for one in self.assignments if one.axis is not None)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that varies."""
        return tuple(key for axis in self.axes for key in axis.keys)

    @property
    def spans(self) -> tuple[str, ...]:
        """Keys that are drawn from a range, so that there is no grid."""
        return tuple(axis.keys[0] for axis in self.axes if axis.span is not None)

    @property
    def size(self) -> int:
        """Trials of the grid; 1 where nothing varies."""
        return math.prod(len(axis.choices) for axis in self.axes)

    def overrides(self, varied: Mapping[str, Any]) -> list[str]:
        """Return the overrides of one trial, those that are fixed among them.

        Args:
            varied: Dotted key -> plain value, of every key that varies.
        """
        found: list[str] = []
        for one in self.assignments:
            keys = (None,) if one.axis is None else one.axis.keys
            found += [one.text if key is None else f"{key}={spelled(varied[key])}" for key in keys]
        return found

    def grid(self) -> Iterator[dict[str, Any]]:
        """Yield what each trial of the grid varies: the last axis fastest.

        Raises:
            ConfigError: An axis is a range without a number of values, or there are too many trials.
        """
        if self.spans:
            raise ConfigError(
                f"{self.spans[0]} is a range without a number of values: a grid needs one, such as "
                f"{self.spans[0]}=1e-4:1e-2:log4; or draw from it with --search random or optuna."
            )
        if self.size > MOST_TRIALS:
            raise ConfigError(
                f"the grid has {self.size:,} trials, more than {MOST_TRIALS:,}; vary less, or draw some of them with "
                "--search random --trials N."
            )
        for chosen in itertools.product(*(axis.choices for axis in self.axes)):
            yield {
                key: part
                for axis, parts in zip(self.axes, chosen, strict=True)
                for key, part in zip(axis.keys, parts, strict=True)
            }

    def corners(self) -> Iterator[dict[str, Any]]:
        """Yield few trials that hold every choice and both ends of every range: what is wrong with them shows early."""
        ends = [
            axis.choices if axis.span is None else tuple((value,) for value in (axis.span.lowest, axis.span.highest))
            for axis in self.axes
        ]
        for step in range(max(map(len, ends), default=1)):
            yield {
                key: part
                for axis, values in zip(self.axes, ends, strict=True)
                for key, part in zip(axis.keys, values[min(step, len(values) - 1)], strict=True)
            }


def read_space(arguments: Sequence[str], *, folds: Callable[[Sequence[str]], Sequence[int]]) -> Space:
    """Read the arguments after the configuration.

    Args:
        arguments: KEY=VALUES each.
        folds: Says which folds the configuration has, given overrides that load it; asked for `data.fold=all`.

    Raises:
        ConfigError: Every mistake at once.

    >>> given = ["seed=1:3", "train.epochs=2", "model:loss=trm:steps,hardnet70:ce"]
    >>> space = read_space(given, folds=lambda overrides: range(5))
    >>> space.size, space.overrides(next(space.grid()))
    (6, ['seed=1', 'train.epochs=2', 'model="trm"', 'loss="steps"'])
    """
    issues: list[str] = []
    read = [_read(text, issues) for text in arguments]
    keys = [key for one in read if one.axis is not None for key in one.axis.keys]
    given = [key.strip() for one in read for key in one.text.partition("=")[0].split(":")]
    issues += [
        f"{key} stands twice; give all its values at once." for key in dict.fromkeys(keys) if given.count(key) > 1
    ]
    if issues:
        raise ConfigError("\n  ".join(["These arguments cannot be read:", *issues]) if len(issues) > 1 else issues[0])
    space = Space(assignments=tuple(read))
    waiting = [number for number, one in enumerate(read) if _is_every_fold(one.text)]
    if waiting:
        first = next(space.corners())
        known = folds([*(text for text in space.overrides(first) if not _is_every_fold(text)), f"{FOLD}=0"])
        axis = Axis(keys=(FOLD,), choices=tuple((fold,) for fold in known))
        read[waiting[0]] = Assignment(text=read[waiting[0]].text, axis=axis)
        space = Space(assignments=tuple(read))
    return space


def spelled(value: object) -> str:
    """Return a plain value as an override spells it, in one line.

    >>> spelled([0.1, "a b", None, float("inf")])
    '[0.1, "a b", null, .inf]'
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{spelled(str(key))}: {spelled(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(spelled, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return _LINE_ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def _is_every_fold(text: str) -> bool:
    key, _, values = text.partition("=")
    return key.strip() == FOLD and values.strip() == ALL


def _read(text: str, issues: list[str]) -> Assignment:
    """Read one argument; what is wrong with it joins `issues`."""
    name, equals, values = text.partition("=")
    keys = tuple(key.strip() for key in name.split(":"))
    if not equals or not all(keys):
        issues.append(f'"{text}" is no setting; write KEY=VALUES, such as seed=1,2,3.')
        return Assignment(text=text)
    items = split_outside(values, ",")
    try:
        span = open_span(values)
    except ConfigError as error:
        issues.append(f'"{text}": {error}')
        return Assignment(text=text)
    if span is not None:
        if len(keys) > 1:
            issues.append(f'"{text}": keys that vary together take lists of values, not a range.')
            return Assignment(text=text)
        return Assignment(text=text, axis=Axis(keys=keys, span=span))
    choices = [choice for item in items for choice in _choices(text, keys, item, len(items), issues)]
    if len(choices) == 1 and len(keys) == 1:
        return Assignment(text=text)
    for number, choice in enumerate(choices):
        if spelled(choice) in {spelled(other) for other in choices[:number]}:
            issues.append(f'"{text}": {", ".join(map(spelled, choice))} stands twice; each value makes a trial.')
    return Assignment(text=text, axis=Axis(keys=keys, choices=tuple(choices)) if choices else None)


def _choices(text: str, keys: tuple[str, ...], item: str, count: int, issues: list[str]) -> list[tuple[Any, ...]]:
    """Return what one item of a list stands for: a value, the values of a range, or one value for each key."""
    if not item.strip() and count > 1:
        issues.append(f'"{text}" has an empty value between commas; write null, or quotes for an empty text.')
        return []
    if len(keys) == 1:
        try:
            numbers = expanded(item)
        except ConfigError as error:
            issues.append(f'"{text}": {error}')
            return []
        if numbers is not None:
            return [(number,) for number in numbers]
    parts = split_outside(item, ":") if len(keys) > 1 else [item]
    if len(parts) != len(keys):
        issues.append(
            f'"{text}": "{item}" has {len(parts)} part{"s" if len(parts) > 1 else ""} for {len(keys)} keys; part them '
            "by colons as the keys are, and quote text that holds a colon."
        )
        return []
    found: list[Issue] = []
    nodes = [read_text(part, f'argument "{text}"', found, one_line=True) for part in parts]
    issues += [str(issue) for issue in found]
    return [] if found else [tuple(plain(node) for node in nodes if node is not None)]
