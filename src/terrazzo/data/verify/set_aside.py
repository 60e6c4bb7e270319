"""Moving files that cannot be read out of the way, together with what belongs to them: nothing is ever deleted."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from terrazzo.data.sources.source import Pair, Source
from terrazzo.errors import StorageError
from terrazzo.storage import write_json

__all__ = ["ASIDE_FOLDER", "MOVED_FILE", "Move", "set_aside"]

ASIDE_FOLDER = ".terrazzo-set-aside"
"""Hidden folder beside the data; listings of a folder leave it out."""
MOVED_FILE = "moved.json"


@dataclass(frozen=True)
class Move:
    """A file that was set aside.

    Attributes:
        source: Where it lay.
        goal: Where it lies now.
    """

    source: str
    goal: str


def set_aside(broken: Sequence[Pair], sound: Sequence[Pair], source: Source) -> list[Move]:
    """Move the files of broken pairs into a hidden folder of the data, keeping their paths.

    A file that a sound pair needs too stays, and so does one outside the data's folder. What is moved is written down
    in `moved.json` before the first move, so that it can be put back whatever happens.

    Args:
        broken: Pairs that cannot be read.
        sound: Pairs that can.
        source: The layout; its folder holds the data.

    Returns:
        What was moved.

    Raises:
        StorageError: The layout has no folder, or a file cannot be moved.
    """
    needed = {path.absolute() for pair in sound for path in pair.all_files}
    wanted = dict.fromkeys(path.absolute() for pair in broken for path in pair.all_files)
    folder = _folder(source, list(wanted))
    chosen = [path for path in wanted if path not in needed and path.is_relative_to(folder) and os.path.lexists(path)]
    if not chosen:
        return []
    place = _new_folder(folder / ASIDE_FOLDER)
    moves = [Move(str(path), str(place / path.relative_to(folder))) for path in chosen]
    write_json(place / MOVED_FILE, {"moved": [asdict(move) for move in moves]})
    for move in moves:
        _move(Path(move.source), Path(move.goal))
    return moves


def _folder(source: Source, paths: Sequence[Path]) -> Path:
    """Return the data's folder: what the layout calls so, else what all broken files have in common."""
    given = vars(source).get("folder")
    if isinstance(given, Path):
        return given.absolute()
    return Path(os.path.commonpath([path.parent for path in paths])) if paths else Path.cwd()


def _new_folder(base: Path) -> Path:
    """Make a folder named by the time; another one in the same second gets a number."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        place = base / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            place.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise StorageError(f"{place} cannot be made to set files aside: {error.strerror}.") from error
        return place
    raise StorageError(f"{base} holds a thousand folders of this second; move them elsewhere.")


def _move(path: Path, goal: Path) -> None:
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(goal):
            raise StorageError(f"{goal} exists already; nothing is overwritten.")
        path.rename(goal)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"{path} cannot be set aside as {goal}: {error.strerror}; {MOVED_FILE} there lists what was to be moved."
        ) from error
