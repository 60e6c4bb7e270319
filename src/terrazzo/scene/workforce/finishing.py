"""From the strips that are missing to a complete journal, or an error that says how far it came and how to go on."""

import threading
import time
from collections.abc import Callable, Sequence
from itertools import starmap

from terrazzo.errors import DataError, SpaceError, StoppedError, StorageError, TerrazzoError, WorkerError
from terrazzo.scene.journal import Journal
from terrazzo.scene.reader import Unreadable
from terrazzo.scene.rows import joined_unreadable
from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.strips import Strip
from terrazzo.scene.workforce.job import SceneJob
from terrazzo.scene.workforce.stopping import stop_on_signals
from terrazzo.scene.workforce.workforce import Workforce
from terrazzo.storage import is_full

__all__ = ["finish_strips"]


def finish_strips(
    workforce: Workforce,
    job: SceneJob,
    journal: Journal,
    strips: Sequence[Strip],
    *,
    advance: Callable[[int], None],
    finished: Callable[[], None],
    note: Callable[[str], None],
    stop: threading.Event | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> None:
    """Compute every strip that the journal lacks, and note each there as soon as it is finished.

    While this runs, the first Ctrl-C lets strips under way be finished, and the second ends at once.

    Args:
        workforce: Who computes.
        job: The scene.
        journal: Its journal, begun with the job's header; holds nothing but what was checked.
        strips: All strips of the scene.
        advance: Hears how many more windows are done or skipped.
        finished: Called once the journal holds another strip; an error that it raises ends the work.
        note: Hears a line where there is something to say.
        stop: Once set, no further strip is begun; only signals say so if None.
        wait: Called with seconds, between two tries to write the journal.

    Raises:
        DataError: All workers together met more unreadable blocks than are allowed.
        StoppedError: A stop was asked for; says how many strips are finished.
        SpaceError: The disk is full, though it was tried again; says how many strips are finished.
        StorageError: A file cannot be written, likewise.
        WorkerError: Workers ended or failed; likewise.
        TerrazzoError: What a worker met: the scene cannot be read, the network answered no numbers ...
    """
    asked = stop or threading.Event()
    said = False

    def progress(windows: int) -> None:
        nonlocal said
        if asked.is_set() and not said:
            said = True
            note("Stopping: strips under way are finished first; interrupt once more to end at once.")
        advance(windows)

    def done(record: StripRecord) -> None:
        try:
            _append(journal, record, retries=job.settings.retries, wait=wait)
        except OSError as error:
            # An error of our own kind: whoever computes must not compute the strip again.
            raise _storage_error(error, journal, strips) from error
        if record.figures.unreadable:
            _require_few(journal, job, strips)
        finished()

    missing = [strip for strip in strips if strip.number not in journal.records]
    try:
        with stop_on_signals(asked):
            workforce.run(job, missing, done=done, advance=progress, stop=asked)
    except WorkerError as error:
        raise WorkerError(f"{error} {_standing(journal, strips)}") from error
    except OSError as error:
        if isinstance(error, TerrazzoError):
            raise
        raise _storage_error(error, journal, strips) from error
    if asked.is_set():
        raise StoppedError(f"Stopped: {_standing(journal, strips)}")


def _append(journal: Journal, record: StripRecord, *, retries: int, wait: Callable[[float], object]) -> None:
    """Note a finished strip, trying again after 1, 2, 4 ... seconds; the strip itself need not be computed again."""
    failures = 0
    while True:
        try:
            journal.append(record)
        except OSError:
            failures += 1
            if failures > retries:
                raise
            wait(2.0 ** (failures - 1))
        else:
            return


def _require_few(journal: Journal, job: SceneJob, strips: Sequence[Strip]) -> None:
    """Stop where all workers together met more unreadable blocks than are allowed; each counts its own alone."""
    parts = [part for record in journal.records.values() for part in record.figures.unreadable]
    blocks = joined_unreadable(starmap(Unreadable, parts))
    if len(blocks) > job.settings.max_errors:
        last = blocks[-1]
        raise DataError(
            f"{job.scene.path}: {len(blocks)} blocks cannot be read, and predict.max_errors allows "
            f"{job.settings.max_errors}; the last are rows {last.y} to {last.y + last.height - 1}, columns {last.x} to "
            f"{last.x + last.width - 1}: {last.reason}. Repair the file or fetch it again, or allow more; "
            f"{_standing(journal, strips)}"
        )


def _storage_error(error: OSError, journal: Journal, strips: Sequence[Strip]) -> StorageError:
    standing = _standing(journal, strips)
    if is_full(error):
        return SpaceError(
            f"{journal.folder} cannot be written: {error.strerror}. Free some room or choose another disk; {standing}"
        )
    return StorageError(f"{journal.folder} cannot be written: {error}. {standing.capitalize()}")


def _standing(journal: Journal, strips: Sequence[Strip]) -> str:
    return f"{len(journal.records)} of {len(strips)} strips are finished; the same command goes on."
