"""Which classes there are, how raw labels say them, and how maps show them.

A raw label value or colour becomes a class number 0..K-1 once, when it is read; from there on only the target's ignore
value (255, or 65535 above 254 classes) stands for "no class". Binary tasks are two classes: background and one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from pydantic import ConfigDict, Field, model_validator

from terrazzo.data.class_entries import Class, allow_bare_names, completed
from terrazzo.data.class_names import ClassNames, require_once
from terrazzo.data.colours import Colour, hexadecimal, with_levels_between
from terrazzo.data.label_lookup import Colormap, ColourLookup, LabelLookup, Match, ValueLookup, through_palette
from terrazzo.errors import ConfigError, LabelError
from terrazzo.record import Record

__all__ = ["Class", "Classes", "Decoded"]


@dataclass(frozen=True)
class Decoded:
    """A label as class numbers.

    Attributes:
        target: Class of each pixel, 0..K-1, or `Classes.ignore`; uint8, or uint16 above 254 classes.
        unlisted: Pixels of each value ("17") or colour ("#3C1098") that is listed nowhere.
    """

    target: Shaped[np.ndarray, "y x"]
    unlisted: dict[str, int]


class Classes(Record):
    """Ordered classes; the order is the class number of every array."""

    # The source may know the classes, so that the rest is said alone.
    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required"))
    bare_fields: ClassVar[tuple[str, ...]] = ("items",)

    items: Annotated[tuple[Class, ...], Field(min_length=2, json_schema_extra=allow_bare_names)]
    """The classes; a bare name is accepted. A binary task has two, the background first."""
    labels: Literal["auto", "value", "colour"] = "auto"
    """How labels name a class; auto: several bands are colours, one band holds values, and a palette is looked up by
    colour unless values are listed."""
    ignore_values: tuple[int, ...] = ()
    """Raw label values without a class."""
    ignore_colours: tuple[Colour, ...] = ()
    """Label colours without a class."""
    ignore_labels: tuple[str, ...] = ()
    """Names in vector attributes and annotation files that stand for no class."""
    unlisted: Literal["error", "ignore", "background"] = "error"
    """What a value or colour becomes that is listed nowhere; background is the first class."""
    match: Match = "exact"
    """How colours (and 8-bit values) meet the listed ones: exactly, binarised at 128 per channel, or the nearest."""
    tolerance: Annotated[float, Field(gt=0)] | None = None
    """Largest Euclidean distance of `match: nearest`, in levels of 0..255 over the three channels."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: object) -> object:
        """Accept a bare list and bare names, and give a colour to classes that name none."""
        return completed(given)

    @model_validator(mode="after")
    def _consistent(self) -> "Classes":
        require_once("name", [(item.name, item.name) for item in self.items])
        words = [(word, item.name) for item in self.items for word in sorted({item.name, *item.labels})]
        require_once("label", words + [(word, "ignore_labels") for word in sorted(set(self.ignore_labels))])
        claims = [(value, item.name) for item in self.items for value in item.values]
        require_once("value", claims + [(value, "ignore_values") for value in self.ignore_values])
        claims_by_colour = [(colour, item.name) for item in self.items for colour in (item.colour, *item.other_colours)]
        ignored = [(colour, "ignore_colours") for colour in self.ignore_colours]
        require_once("colour", [(hexadecimal(colour), name) for colour, name in claims_by_colour + ignored])
        silent = [item.name for item in self.items if not item.values]
        if silent and len(silent) < len(self.items):
            raise ValueError(f'class "{silent[0]}" lists no values, but other classes do; list them for all or none')
        if not claims and (clash := [value for value in self.ignore_values if 0 <= value < len(self.items)]):
            raise ValueError(
                f'value {clash[0]} is ignored, and it is the position of class "{self.items[clash[0]].name}"; '
                "list the `values` of each class"
            )
        if len(self.items) > 65534:
            raise ValueError(f"{len(self.items)} classes; there can be 65534 at most")
        if (self.match == "nearest") != (self.tolerance is not None):
            raise ValueError("`match: nearest` and `tolerance` go together")
        partly = with_levels_between([colour for colour, _ in claims_by_colour]) if self.match == "binarise" else []
        if partly and self.labels == "colour":
            raise ValueError(f"`match: binarise` knows channels of 0 and 255 only, but {partly[0]} is listed")
        return self

    def __len__(self) -> int:
        return len(self.items)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in class order."""
        return tuple(item.name for item in self.items)

    @property
    def colours(self) -> UInt8[np.ndarray, "class 3"]:
        """Red, green and blue of each class."""
        return np.array([item.colour for item in self.items], dtype=np.uint8)

    @property
    def ignore(self) -> int:
        """The target's value for "no class": 255, or 65535 above 254 classes."""
        return 255 if len(self.items) <= 254 else 65535

    @property
    def source_values(self) -> tuple[int, ...]:
        """The first raw value of each class: its position where no values are listed."""
        return tuple(item.values[0] if item.values else position for position, item in enumerate(self.items))

    @property
    def source_ignore(self) -> int:
        """Raw value of "no class": the first that is listed, else the highest of 8 (16, 32) bits that is free."""
        if self.ignore_values:
            return self.ignore_values[0]
        taken = {value for item in self.items for value in item.values} or set(range(len(self.items)))
        ceiling = next(limit for limit in (255, 65535, 2**31 - 1) if max(taken) <= limit)
        return next(value for value in range(ceiling, -(2**31), -1) if value not in taken)

    @property
    def ignore_colour(self) -> tuple[int, int, int]:
        """Colour of "no class": the first that is listed, else black, or the nearest grey that no class has."""
        if self.ignore_colours:
            return self.ignore_colours[0]
        taken = {item.colour for item in self.items}
        return next((grey, grey, grey) for grey in range(256) if (grey, grey, grey) not in taken)

    def number_of(self, text: str) -> int | None:
        """Return the class number of a word in an attribute or annotation file.

        A class's own name or one of its `labels` comes first; else a whole number ("3", "3.0") is a raw label value.

        Returns:
            0..K-1; `ignore` for what `ignore_labels` or `ignore_values` lists; None for what nothing lists.

        >>> classes = Classes(items=["water", {"name": "road", "labels": ["track"]}], ignore_labels=["cloud"])
        >>> [classes.number_of(word) for word in ("track", "water", "1.0", "cloud", "snow")]
        [1, 0, 1, 255, None]
        """
        return _names(self).find(text)

    def decode(
        self,
        labels: Shaped[np.ndarray, "band y x"],
        colormap: Colormap | None = None,
        *,
        valid: Bool[np.ndarray, "y x"] | None = None,
    ) -> Decoded:
        """Turn raw labels into class numbers.

        Args:
            labels: One band of values, or red, green, blue (and alpha, which is left out).
            colormap: Palette of a one-band label.
            valid: False where the label file says that nothing stands (its nodata value, transparency). There a value
                that is listed nowhere is ignored; one that is listed keeps its class. NaN is always ignored.

        Raises:
            LabelError: The label's bands or type do not fit how classes are listed; or, under `unlisted: error`, it
                holds a value or colour that is listed nowhere.

        >>> classes = Classes(items=["background", "road"], ignore_values=[255])
        >>> classes.decode(np.array([[[0, 1, 255]]], dtype=np.uint8)).target
        array([[  0,   1, 255]], dtype=uint8)
        """
        by_colour = self._by_colour(labels, colormap)
        if by_colour and colormap is not None and len(labels) == 1:
            labels = through_palette(labels, colormap)
        codes, unlisted = _lookup(self, by_colour)(labels)
        if unlisted:
            missing = codes == self._open
            absent = ~valid if valid is not None else np.zeros_like(missing)
            if labels.dtype.kind == "f":
                absent = absent | np.isnan(labels).any(axis=0)
            if (absent & missing).any():
                codes[absent & missing] = self.ignore
                missing &= ~absent
                _, unlisted = _lookup(self, by_colour)(labels[:, missing][:, None])
            if unlisted and self.unlisted == "error":
                raise LabelError(self.describe_unlisted(unlisted))
            codes[missing] = 0 if self.unlisted == "background" else self.ignore
        return Decoded(codes, unlisted)

    def describe_unlisted(self, unlisted: Mapping[str, int]) -> str:
        """Return one sentence that names what is listed nowhere, most frequent first, and what to do."""
        ranked = sorted(unlisted.items(), key=lambda entry: -entry[1])
        shown = ", ".join(f"{what} ({count} pixels)" for what, count in ranked[:8])
        more = f" and {len(ranked) - 8} more" if len(ranked) > 8 else ""
        return (
            f"no class lists {shown}{more}; list them under a class or under ignore_values / ignore_colours / "
            "ignore_labels, or set data.classes.unlisted to ignore or background."
        )

    def encode(
        self, target: Shaped[np.ndarray, "y x"], values: Literal["index", "source", "colour"] = "index"
    ) -> Shaped[np.ndarray, "*band y x"]:
        """Turn class numbers back into what a label file holds.

        Args:
            target: Class of each pixel, or `ignore`.
            values: `index` gives class numbers, `source` the first raw value of each class (the smallest integer type
                that holds them), `colour` red, green, blue band-first.

        Raises:
            LabelError: The target holds a number that is neither a class nor `ignore`.
        """
        count = len(self.items)
        ignored = target == self.ignore
        wrong = ~ignored & ((target < 0) | (target >= count))
        if wrong.any():
            raise LabelError(
                f"the target holds {target[wrong][0]}, but classes are 0..{count - 1} and ignore is {self.ignore}."
            )
        positions = np.where(ignored, count, target).astype(np.int64)
        if values == "colour":
            table = np.vstack([self.colours, np.array([self.ignore_colour], dtype=np.uint8)])
            return np.ascontiguousarray(np.moveaxis(table[positions], -1, 0))
        numbers = (*self.source_values, self.source_ignore) if values == "source" else (*range(count), self.ignore)
        smallest = np.result_type(np.min_scalar_type(min(numbers)), np.min_scalar_type(max(numbers)))
        return np.array(numbers, dtype=smallest)[positions]

    @property
    def _open(self) -> int:
        """Code of what is listed nowhere: never a class, never `ignore`."""
        return self.ignore - 1

    def _by_colour(self, labels: Shaped[np.ndarray, "band y x"], colormap: Colormap | None) -> bool:
        if self.labels != "auto":
            return self.labels == "colour"
        listed_by_value = any(item.values for item in self.items)
        return len(labels) >= 3 or (colormap is not None and not listed_by_value)


@lru_cache(maxsize=4)
def _names(classes: Classes) -> ClassNames:
    """Build the tables of words once a process."""
    names = [(item.name, *item.labels) for item in classes.items]
    values = [item.values or (number,) for number, item in enumerate(classes.items)]
    return ClassNames.of([*names, classes.ignore_labels], [*values, classes.ignore_values], ignore=classes.ignore)


@lru_cache(maxsize=4)
def _lookup(classes: Classes, by_colour: bool) -> LabelLookup:
    """Build the tables of classes once a process."""
    numbers = range(len(classes.items))
    kind = np.uint8 if classes.ignore == 255 else np.uint16
    tolerance = classes.tolerance or 0.0
    settings: dict[str, Any] = {"open_code": classes.ignore - 1, "dtype": kind, "match": classes.match}
    if by_colour:
        listed = [
            (colour, number)
            for number in numbers
            for colour in (classes.items[number].colour, *classes.items[number].other_colours)
        ] + [(colour, classes.ignore) for colour in classes.ignore_colours]
        if classes.match == "binarise" and (clashes := with_levels_between([colour for colour, _ in listed])):
            raise ConfigError(
                f"data.classes.match: binarise knows channels of 0 and 255 only, but {clashes[0]} is listed."
            )
        return ColourLookup([c for c, _ in listed], [code for _, code in listed], tolerance=tolerance, **settings)
    values = [(value, number) for number in numbers for value in (classes.items[number].values or (number,))]
    values += [(value, classes.ignore) for value in classes.ignore_values]
    return ValueLookup([value for value, _ in values], [code for _, code in values], tolerance=tolerance, **settings)
