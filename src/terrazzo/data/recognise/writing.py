"""A configuration as a person would write it: few settings, each with the reason beside it."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from terrazzo.data.recognise.layout import Layout
from terrazzo.data.recognise.proposals import Choice, Proposal
from terrazzo.data.recognise.survey import Survey

__all__ = ["Draft", "render", "sentences"]

Escape = Callable[[str], str]


@dataclass(frozen=True)
class Draft:
    """All that a configuration is written from.

    Attributes:
        name: Name of the run.
        folder: The data, absolute.
        layout: How it is read.
        classes: `data.classes`; None where the source brings them.
        reasons: About the classes.
        survey: What a sample says.
        proposal: The other settings.
        notes: What else a person should know.
    """

    name: str
    folder: Path
    layout: Layout
    classes: Mapping[str, object] | None
    reasons: tuple[str, ...]
    survey: Survey
    proposal: Proposal
    notes: tuple[str, ...] = ()


def sentences(draft: Draft) -> list[str]:
    """Return what was found, in sentences."""
    found = draft.survey
    count = len(found.pairs)
    read = "all were read" if len(found.entries) == count else f"a sample of {len(found.entries)} was read"
    read += "" if found.every_pixel else ", large ones in part"
    sizes = [f"{height} x {width}" for height, width in found.sizes]
    shown = sizes[0] if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    kinds = sorted({band.dtype for band in found.bands})
    lines = [
        f"Recognised as {draft.layout.title}.",
        f"{count} image{'s' if count > 1 else ''} with label; {read}.",
        f"Sizes (rows x columns): {shown} pixels. Bands: {', '.join(found.bands.names)} ({', '.join(kinds)}).",
    ]
    if found.resolution_m is not None:
        low, high = (f"{metres:.3g}" for metres in found.resolution_m)
        lines.append(f"Pixels are {low if low == high else f'{low} to {high}'} m wide.")
    roles = ", ".join(f"{number} {role}" for role, number in found.roles.items() if role is not None)
    if roles:
        lines.append(f"The layout says roles: {roles}.")
    if len(found.regions) > 1:
        lines.append(f"Places: {', '.join(list(found.regions)[:8])}{' ...' if len(found.regions) > 8 else ''}.")
    if found.ignored:
        lines.append(f"{found.ignored:.1%} of the pixels that were read have no class and are ignored.")
    times = f"{found.imbalance:,.0f}" if found.imbalance >= 10 else f"{found.imbalance:.1f}"
    lines.append(f"The most frequent class has {times} times the pixels of the rarest that was seen.")
    return [*lines, *(f"{note[0].upper()}{note[1:].rstrip('.')}." for note in draft.notes)]


def render(draft: Draft, *, file: str, escape: Escape) -> str:
    """Return the configuration as YAML with comments.

    Args:
        draft: What to write.
        file: Name of the configuration, for the line that says how to start.
        escape: Keeps text such as "${x}" from being taken for a reference.
    """
    lines = [f"# Written by `terrazzo init`. Start with:  terrazzo run {file}", "#"]
    lines += [line for sentence in sentences(draft) for line in _comment(sentence)]
    lines += ["", f"name: {_scalar(draft.name, escape)}", "", "paths:"]
    lines += [f"  data: {_scalar(str(draft.folder), escape)}"]
    lines += [f"  prepared: {_scalar(f'prepared/{draft.name}', escape)}   # catalog, patch index and statistics"]
    lines += ["  runs: runs                     # results lie in a folder of this run's name", "", "data:", "  source:"]
    lines += [
        f"    {key}: {_source_value(value, draft.folder, escape)}" for key, value in draft.layout.settings.items()
    ]
    lines += _classes(draft, escape)
    bands = ", ".join(_scalar(name, escape) for name in draft.survey.bands.names)
    lines += [f"  # bands: [{bands}]   # all are used; name some to use fewer, in channel order"]
    proposal = draft.proposal
    lines += ["  patch:", *_choice("size", proposal.patch, 4, escape), *_choice("overlap", proposal.overlap, 4, escape)]
    if proposal.split.value is None:
        lines += _comment(f"split: {proposal.split.why}", 2)
    else:
        lines += _choice("split", proposal.split, 2, escape)
    lines += ["", *_choice("augment", proposal.augment, 0, escape), "", "model:", "  name: smp", "  architecture: unet"]
    lines += [*_choice("encoder", proposal.encoder, 2, escape), ""]
    lines += [*_choice("loss", proposal.loss, 0, escape), "", "optimizer: {name: adamw, lr: 1e-3}", ""]
    lines += ["schedule: {name: cosine, warmup_epochs: 1}   # a gentle start", "", "train:"]
    for key, choice in (
        ("epochs", proposal.epochs),
        ("batch_size", proposal.batch_size),
        ("class_weights", proposal.class_weights),
        ("sampling", proposal.sampling),
    ):
        lines += _choice(key, choice, 2, escape)
    lines += ["", "evaluate:", *_choice("splits", proposal.evaluate, 2, escape)]
    return "\n".join(lines) + "\n"


def _classes(draft: Draft, escape: Escape) -> Iterator[str]:
    """Yield the lines about classes, each class with its share."""
    shares = draft.survey.shares
    for reason in draft.reasons:
        yield from _comment(f"{reason[0].upper()}{reason[1:]}.", 2)
    if draft.classes is None:
        listed = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        yield from _comment(f"Classes come with the source: {listed} of the labelled pixels.", 2)
        return
    yield "  classes:"
    yield "    items:"
    items = draft.classes["items"]
    for item in items if isinstance(items, Sequence) else ():
        name = str(item["name"])
        yield f"      - {_flow(item, escape)}   # {shares.get(name, 0.0):.2%} of the labelled pixels"
    for key, value in draft.classes.items():
        if key == "unlisted" and value == "ignore":
            yield "    # Not every label was read, so what is not listed is ignored; `error` would report it."
        if key != "items":
            yield f"    {key}: {_flow(value, escape)}"


def _choice(key: str, choice: Choice, indent: int, escape: Escape) -> list[str]:
    space = " " * indent
    line = f"{space}{key}: {_flow(choice.value, escape)}"
    if len(line) + len(choice.why) + 5 <= 120:
        return [f"{line}   # {choice.why}"]
    return [*_comment(choice.why, indent), line]


def _comment(text: str, indent: int = 0) -> list[str]:
    """Return text as comment lines; signs that would end a line are replaced."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    space = " " * indent
    return [f"{space}# {line}" for line in wrap(plain, 116 - indent, break_long_words=False, break_on_hyphens=False)]


def _source_value(value: object, folder: Path, escape: Escape) -> str:
    """Return a value of the source, the data folder by reference."""
    if isinstance(value, Path):
        if value == folder:
            return "${paths.data}"
        if value.is_relative_to(folder):
            return _quoted("${paths.data}/" + escape(value.relative_to(folder).as_posix()))
        return _scalar(str(value), escape)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_source_value(item, folder, escape)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_source_value(item, folder, escape) for item in value) + "]"
    return _flow(value, escape)


def _flow(value: object, escape: Escape) -> str:
    """Return a value on one line, as YAML reads it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item, escape)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(item, escape) for item in value) + "]"
    return _scalar(value, escape) if isinstance(value, str) else json.dumps(value)


def _scalar(text: str, escape: Escape) -> str:
    """Return text bare where nobody could take it for anything else, else in quotes."""
    safe = text.replace("_", "").replace("-", "").replace(".", "").replace("/", "").replace(" ", "")
    bare = safe.isascii() and safe.isalnum() and text[0].isalpha() and text == text.strip()
    return text if bare and text.lower() not in _WORDS else _quoted(escape(text))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())


_WORDS = frozenset(["true", "false", "yes", "no", "on", "off", "null", "y", "n"])
"""Words that a YAML reader may take for something else than text."""
