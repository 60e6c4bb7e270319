"""Classes guessed from what labels hold and from what lies beside them."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from terrazzo.data.colours import hexadecimal
from terrazzo.data.recognise.content import MOST_VALUES, Colour, LabelContent, words_of
from terrazzo.data.recognise.known_colours import KNOWN, KnownColours
from terrazzo.data.recognise.sidecars import Named
from terrazzo.errors import DataError

__all__ = ["ClassGuess", "guess_classes", "thing_in"]

MOST_CLASSES = 255
"""Values that are taken for classes where nothing names them."""

Settings = dict[str, object]

# fmt: off
_THINGS = (
    "building", "road", "water", "cloud", "tree", "forest", "field", "crop", "ship", "vessel", "roof", "river", "lake",
    "flood", "snow", "ice", "glacier", "solar", "pool", "car", "vehicle", "crack", "landslide", "fire", "wetland",
    "vineyard", "orchard", "hedge",
)
# fmt: on
_EMPTY = (255, 254, 65535, -1, -9999, -32768)


@dataclass(frozen=True)
class ClassGuess:
    """Classes as `data.classes` takes them.

    Attributes:
        settings: Keys of `data.classes`.
        reasons: Sentences about where they come from and what to check.
    """

    settings: Settings
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _Draft:
    """Classes before they are written: name, values and colours of each."""

    items: tuple[Settings, ...]
    reasons: tuple[str, ...]
    ignored: tuple[object, ...] = ()
    extra: Mapping[str, object] | None = None


def guess_classes(
    content: LabelContent,
    names: Sequence[tuple[str, tuple[Named, ...]]],
    *,
    path_words: str,
    whole: bool,
) -> ClassGuess:
    """Guess classes from label rasters.

    Args:
        content: What a sample of the labels holds.
        names: What files beside them say, the nearest first.
        path_words: Names of folders and label files, where a word such as "roads" names the one class of binary labels.
        whole: Whether the sample is all labels, so that a value that was not seen is an error later.

    Raises:
        DataError: There are too many values for classes, and nothing names them.
    """
    by_colour = content.several_bands
    draft = _by_colours(content, names, path_words) if by_colour else _by_values(content, names, path_words)
    settings: Settings = {"items": list(draft.items), "labels": "colour" if by_colour else "value"}
    if draft.ignored:
        settings["ignore_colours" if by_colour else "ignore_values"] = list(draft.ignored)
    settings |= draft.extra or {}
    if not (whole and content.complete):
        settings["unlisted"] = "ignore"
    return ClassGuess(settings, draft.reasons)


def _by_values(content: LabelContent, names: Sequence[tuple[str, tuple[Named, ...]]], path_words: str) -> _Draft:
    found = content.values
    if len(found) > MOST_VALUES and _mostly(found, lambda value: 0 <= value <= 16 or 239 <= value <= 255):
        reason = f"labels hold {len(found)} values around 0 and 255, as compression leaves them, so they are binarised"
        return _Draft(_binary(path_words, 255), (reason,), extra={"match": "binarise"})
    for path, named in names:
        listed = {entry.value: entry for entry in named if entry.value is not None}
        if listed and len(listed) == len(named) and set(found) - set(listed) <= {*_EMPTY, *content.nodata, 0}:
            return _named_values(path, listed, content)
    ignored = _ignored_values(content)
    values = [value for value in sorted(found) if value not in ignored]
    if len(values) <= 2 and set(values) <= {0, 1, 255}:
        return _Draft(
            _binary(path_words, max([*values, 1])), ("labels hold two values: a background and one class",), ignored
        )
    if len(values) == 1:
        values = sorted({0 if values[0] else 1, *values})
    if len(values) > MOST_CLASSES:
        raise DataError(
            f"labels hold {len(values)} different values, such as {values[-1]}, which nothing names: they look like "
            "numbers of objects, not like classes. Write data.classes by hand, or name the values in classes.txt."
        )
    colours = _palette(content, values)
    items = tuple({"name": f"class_{value}", "values": [value], **colours.get(value, {})} for value in values)
    return _Draft(items, ("no file names the classes, so they are called by their values; rename them",), ignored)


def _named_values(path: str, listed: Mapping[int, Named], content: LabelContent) -> _Draft:
    """Take values and names from a file; values that it does not list, or calls no data, are ignored."""
    kept = {value: entry for value, entry in sorted(listed.items()) if not entry.ignored}
    if len(kept) < 2:
        kept = dict(sorted(listed.items()))
    colours = _palette(content, list(kept))
    if not colours and all(entry.colour is not None for entry in kept.values()):
        said = [entry.colour for entry in kept.values()]
        if len(set(said)) == len(said):
            colours = {value: _coloured(entry.colour) for value, entry in kept.items()}
    items = tuple({"name": entry.name, "values": [value], **colours.get(value, {})} for value, entry in kept.items())
    ignored = {value for value in listed if value not in kept} | (set(content.values) - set(kept))
    unseen = [entry.name for value, entry in kept.items() if value not in content.values]
    reasons = [f"values and names come from {path}"]
    if unseen:
        reasons.append(f"not seen in the labels that were read: {', '.join(unseen)}")
    return _Draft(items, tuple(reasons), tuple(sorted(ignored)))


def _ignored_values(content: LabelContent) -> tuple[int, ...]:
    """Return values that mean nothing: the file's nodata, and 255, -1, ... beside at least two others."""
    found = set(content.values)
    ignored = {value for value in _EMPTY if value in found}
    if found - ignored <= {0}:
        # 0 and 255 alone are a binary mask.
        ignored -= {255}
    rest = found - ignored
    ignored |= {value for value in content.nodata & rest if value != 0 or len(rest) > 2}
    return tuple(sorted(ignored))


def _by_colours(content: LabelContent, names: Sequence[tuple[str, tuple[Named, ...]]], path_words: str) -> _Draft:
    found, extra, reasons = _main_colours(content.colours)
    if set(found) <= {(0, 0, 0), (255, 255, 255)}:
        first, second = _binary(path_words, 255)
        pair = (
            {"name": first["name"], "colour": "#000000"},
            {"name": second["name"], "colour": "#FFFFFF"},
        )
        return _Draft(pair, (*reasons, "labels are black and white: a background and one class"), extra=extra)
    total = sum(found.values())
    for path, named in names:
        table = {entry.colour: entry for entry in named if entry.colour is not None}
        explained = sum(count for colour, count in found.items() if colour in table)
        if len(table) == len(named) and explained >= 0.95 * total:
            known = KnownColours(
                path,
                {colour: entry.name for colour, entry in table.items() if not entry.ignored},
                tuple(colour for colour, entry in table.items() if entry.ignored),
            )
            return _known(known, found, (*reasons, f"colours and names come from {path}"), extra)
        if table:
            reasons = (*reasons, f"the colours in {path} are not those of the labels, so it is not used")
    fitting = [known for known in KNOWN if _fits(known, found)]
    if len(fitting) == 1:
        return _known(fitting[0], found, (*reasons, f"the colours are those of {fitting[0].title}"), extra)
    if fitting:
        reasons = (*reasons, f"the colours could be those of {' or '.join(known.title for known in fitting)}")
    ignored = tuple(
        hexadecimal(colour)
        for colour in found
        if colour == (0, 0, 0) and len(found) > 3 and found[colour] < 0.05 * total
    )
    items = [_item(words_of(colour), colour) for colour in sorted(found) if hexadecimal(colour) not in ignored]
    if len(items) == 1:
        only = next(iter(found))
        items.append(_item("white", (255, 255, 255)) if only == (0, 0, 0) else _item("background", (0, 0, 0)))
    return _Draft(
        tuple(items),
        (*reasons, "no file names the classes, so they are called by their colours; rename them"),
        ignored,
        extra,
    )


def _fits(known: KnownColours, found: Counter[Colour]) -> bool:
    """Return whether known colours explain nearly all pixels; pure colours that many data sets use must be four."""
    seen = [colour for colour in known.classes if colour in found]
    pure = all(set(colour) <= {0, 255} for colour in seen)
    explained = sum(found[colour] for colour in (*known.classes, *known.ignored))
    return len(seen) >= (4 if pure else 2) and explained >= 0.99 * sum(found.values())


def _known(known: KnownColours, found: Counter[Colour], reasons: tuple[str, ...], extra: Settings) -> _Draft:
    """Take classes from known colours; what else was found is ignored, and said."""
    others = [colour for colour in found if colour not in known.classes and colour not in known.ignored]
    if others:
        shown = ", ".join(f"{hexadecimal(colour)} ({found[colour]} pixels)" for colour in others[:5])
        reasons = (*reasons, f"of no class and ignored: {shown}")
    unseen = [name for colour, name in known.classes.items() if colour not in found]
    if unseen:
        reasons = (*reasons, f"not seen in the labels that were read: {', '.join(unseen)}")
    items = tuple(_item(name, colour) for colour, name in known.classes.items())
    return _Draft(items, reasons, tuple(hexadecimal(colour) for colour in (*known.ignored, *others)), extra)


def _main_colours(colours: Counter[Colour]) -> tuple[Counter[Colour], Settings, tuple[str, ...]]:
    """Return the colours that were meant, with the way to meet them: exactly, binarised or the nearest."""
    total = sum(colours.values())
    if len(colours) <= MOST_VALUES:
        return colours, {}, ()
    corner = Counter[Colour]()
    for colour, count in colours.items():
        corner[tuple(255 * (channel >= 128) for channel in colour)] += count  # type: ignore[index]
    near = sum(count for colour, count in colours.items() if all(channel <= 48 or channel >= 207 for channel in colour))
    if near >= 0.95 * total:
        kept = Counter({colour: count for colour, count in corner.items() if count >= 0.001 * total})
        reason = f"labels hold {len(colours)} colours, as compression leaves them, so channels are binarised at 128"
        return kept, {"match": "binarise", "unlisted": "ignore"}, (reason,)
    kept = Counter({colour: count for colour, count in colours.most_common(32) if count >= 0.005 * total})
    reason = f"labels hold {len(colours)} colours, as compression leaves them; the nearest listed one counts"
    return kept, {"match": "nearest", "tolerance": 40.0, "unlisted": "ignore"}, (reason,)


def _binary(path_words: str, value: int) -> tuple[Settings, Settings]:
    """Return background and one class, which a word of the paths may name."""
    name = thing_in(path_words) or "foreground"
    return {"name": "background", "values": [0]}, {"name": name, "values": [value]}


def thing_in(path_words: str) -> str | None:
    """Return the thing that names of folders and files speak of, or None.

    >>> thing_in("deepglobe/roads_sample"), thing_in("cloud38"), thing_in("images")
    ('road', 'cloud', None)
    """
    text = path_words.lower()
    words = {word.rstrip("s") for word in re.findall(r"[a-z]+", text)}
    return next((thing for thing in _THINGS if thing in words or (len(thing) > 4 and thing in text)), None)


def _palette(content: LabelContent, values: Sequence[int]) -> dict[int, Settings]:
    """Return the colours of values where the files have a palette in which they differ."""
    colours = [content.palette.get(value) for value in values]
    if None in colours or len(set(colours)) < len(colours):
        return {}
    return {value: _coloured(colour) for value, colour in zip(values, colours, strict=True)}


def _coloured(colour: Colour | None) -> Settings:
    return {} if colour is None else {"colour": hexadecimal(colour)}


def _item(name: str, colour: Colour) -> Settings:
    return {"name": name, "colour": hexadecimal(colour)}


def _mostly(counts: Counter[int], holds: Callable[[int], bool]) -> bool:
    return sum(count for value, count in counts.items() if holds(value)) >= 0.95 * sum(counts.values())
