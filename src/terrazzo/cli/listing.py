"""`terrazzo list`: the names that a configuration can use."""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Annotated, NamedTuple

import typer

from terrazzo.cli.options import AsJson, Debug
from terrazzo.cli.session import Session
from terrazzo.errors import ConfigError

__all__ = ["FAMILIES", "KINDS", "Entry", "entries", "first_sentence", "list_names"]

FAMILIES = {
    "models": "terrazzo.models.architecture",
    "backbones": "terrazzo.models.backbones.backbone",
    "heads": "terrazzo.models.heads.head",
    "losses": "terrazzo.losses",
    "augmentations": "terrazzo.data.augment.transform",
    "optimizers": "terrazzo.training.optim",
    "schedules": "terrazzo.training.schedule",
    "sources": "terrazzo.data.sources.source",
    "trackers": "terrazzo.tracking",
}
KINDS = (
    "models",
    "backbones",
    "heads",
    "encoders",
    "losses",
    "augmentations",
    "optimizers",
    "schedules",
    "sources",
    "trackers",
    "recipes",
)


class Entry(NamedTuple):
    """One line of a listing.

    Attributes:
        name: What stands in a configuration.
        description: One sentence.
    """

    name: str
    description: str


def list_names(
    kind: Annotated[
        str | None, typer.Argument(metavar=f"[{'|'.join(KINDS)}]", help="What to list; all if left out.")
    ] = None,
    pattern: Annotated[str, typer.Argument(help='Only names that match, such as "*res*".')] = "*",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the names that a configuration can use."""
    with Session("list", as_json=as_json, debug=debug) as session:
        if kind is not None and kind not in KINDS:
            raise ConfigError(f'Nothing is listed as "{kind}"; choose one of {", ".join(KINDS)}.')
        content = {name: [entry._asdict() for entry in entries(name, pattern)] for name in ([kind] if kind else KINDS)}
        if not any(content.values()):
            raise ConfigError(f'No name matches "{pattern}" in {kind or "any kind"}.')
        if as_json:
            session.show(content)
        else:
            _print(session, content)


def _print(session: Session, content: dict[str, list[dict[str, str]]]) -> None:
    from terrazzo.cli.terminal import show_table

    session.listener.close()
    for kind, rows in content.items():
        if rows:
            show_table(rows, title=f"{kind} ({len(rows)})")


def entries(kind: str, pattern: str = "*") -> list[Entry]:
    """Return names of one kind that match a shell pattern, with their descriptions.

    Args:
        kind: One of `KINDS`.
        pattern: Shell wildcards `*`, `?` and `[...]`; upper and lower case are distinct.
    """
    if kind == "encoders":
        return _encoders(pattern)
    if kind == "recipes":
        return _recipes(pattern)
    import importlib

    from terrazzo.record import Table

    importlib.import_module(FAMILIES[kind])
    table = Table.of(kind)
    return [Entry(name, _description(table.find, name)) for name in _matching(table.names(), pattern)]


def _matching(names: Iterable[str], pattern: str) -> list[str]:
    return sorted(name for name in names if fnmatchcase(name, pattern))


def _description(find: Callable[[str], type], name: str) -> str:
    """Return the first sentence of a component, or why it cannot be used here."""
    try:
        return first_sentence(find(name).__doc__ or "")
    except ConfigError as error:  # a plug-in whose package is missing is still a name
        return str(error)


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring, on one line.

    >>> first_sentence("Cross-entropy, e.g. the usual one. It has settings.")
    'Cross-entropy, e.g. the usual one.'
    """
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return re.split(r"(?<=[^.]{3}[.!?])\s+(?=[A-Z])", paragraph)[0]


def _encoders(pattern: str) -> list[Entry]:
    """List encoders of segmentation_models_pytorch with the pretrained weights that each knows."""
    from segmentation_models_pytorch.encoders import encoders

    found = []
    for name in _matching(encoders, pattern):
        weights = ", ".join(sorted(encoders[name].get("pretrained_settings") or {}))
        found.append(Entry(name, f"Pretrained weights: {weights}." if weights else "No pretrained weights."))
    return found


def _recipes(pattern: str) -> list[Entry]:
    """List shipped configurations; the first sentence of the comment at its head describes each."""
    from importlib.resources import files
    from itertools import takewhile

    from terrazzo.config import list_recipes

    folder = files("terrazzo").joinpath("recipes")
    found = []
    for name in _matching(list_recipes(), pattern):
        lines = folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        head = " ".join(line.lstrip("# ") for line in takewhile(lambda line: line.startswith("# "), lines))
        found.append(Entry(name, first_sentence(head).partition(":")[0].rstrip(".") + "."))
    return found
