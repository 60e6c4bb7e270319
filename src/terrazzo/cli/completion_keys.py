"""The configuration's keys for completion, kept in the user's cache: finding them anew loads every component.

The file's name holds a fingerprint of Terrazzo's own files and of what is installed beside it, so that it is never
stale. Where it is not there yet, a process in the background writes it, and until then no keys are completed.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from terrazzo.errors import TerrazzoError

__all__ = ["KnownKey", "collect", "file", "read", "write"]

_PACKAGE = Path(__file__).parents[1]


class KnownKey(NamedTuple):
    """One key.

    Attributes:
        name: Dotted; `*` stands for positions in lists.
        values: What may be chosen by name.
        note: One sentence.
        is_section: Whether it has keys below and no value of its own.
        takes_file: Whether its value is a path.
        within: Components on the way: dotted place and name.
    """

    name: str
    values: tuple[str, ...]
    note: str
    is_section: bool
    takes_file: bool
    within: tuple[tuple[str, str], ...]


def file() -> Path:
    """Return the path that the list has at present."""
    mark = hashlib.sha256(str(_PACKAGE).encode())
    for path in sorted(_PACKAGE.rglob("*.py")):
        found = path.stat()
        mark.update(f"{path}:{found.st_mtime_ns}:{found.st_size}\n".encode())
    for entry in sys.path:
        # Components of other packages come and go with them.
        if entry.endswith("-packages") and os.path.isdir(entry):  # noqa: PTH112 - at each press of a key
            mark.update(f"{entry}:{os.stat(entry).st_mtime_ns}\n".encode())  # noqa: PTH116
    return _folder() / f"keys-{_place_mark()}-{mark.hexdigest()[:16]}.json"


def read() -> list[KnownKey]:
    """Return all keys; nothing where they are being found in the background."""
    path = file()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [
            KnownKey(name, tuple(values), note, section, takes_file, tuple((at, member) for at, member in within))
            for name, values, note, section, takes_file, within in content
        ]
    except (OSError, ValueError, TypeError):
        _begin()
        return []


def write() -> None:
    """Find all keys and keep them; what other versions of this installation left is removed."""
    from terrazzo.storage import write_json

    path = file()
    write_json(path, collect())
    for other in path.parent.glob(f"keys-{_place_mark()}-*.json"):
        if other != path:
            other.unlink(missing_ok=True)


def collect() -> list[KnownKey]:
    """Return all keys of the configuration, those of every component among them."""
    from terrazzo.config import RunConfig
    from terrazzo.config.issue import dotted
    from terrazzo.config.keys import all_keys, options, type_words

    found = []
    for key in all_keys(RunConfig):
        annotation, metadata = key.field.annotation, key.field.metadata
        words = type_words(annotation, metadata)
        found.append(
            KnownKey(
                dotted(key.path),
                tuple(options(annotation, metadata)),
                " ".join((key.field.description or "").split()),
                words == "section",
                "path" in words.split(),
                tuple((dotted(at), name) for at, name in key.within),
            )
        )
    return found


def _folder() -> Path:
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "terrazzo"


def _place_mark() -> str:
    return hashlib.sha256(str(_PACKAGE).encode()).hexdigest()[:8]


def _begin() -> None:
    """Start a process that writes the list, which outlives the shell's question."""
    subprocess.Popen(
        [sys.executable, "-m", "terrazzo.cli.completion_keys"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _main() -> None:
    """Write the list, unless another process does."""
    from terrazzo.storage import locked

    try:
        with locked(_folder()):
            if not file().is_file():
                write()
    except TerrazzoError:
        return


if __name__ == "__main__":
    _main()
