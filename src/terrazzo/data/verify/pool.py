"""Images looked at in several processes at once, in the order given.

Between two decoded strips lie a hundred small steps of Python; threads would wait for each other there, twice as long
as they work. Processes come from a clean server ("forkserver"), as those of the loader do.
"""

import contextlib
import ctypes
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from types import MappingProxyType

from terrazzo.data.child_process import follow_parent
from terrazzo.data.settings import DataSettings
from terrazzo.data.sources.source import Pair
from terrazzo.data.verify.examination import Examined, examine
from terrazzo.data.verify.settings import VerifySettings
from terrazzo.errors import DataError

__all__ = ["Examiner", "examine_all"]


class Examiner:
    """One and the same look at any image.

    Args:
        data: Which bands and classes are used.
        settings: What to look for.
        georeferenced: Whether a coordinate reference system is required, by split.
        otherwise: The same for every other split.
        parts: What images are divided into, by name.
    """

    def __init__(
        self,
        data: DataSettings,
        settings: VerifySettings,
        georeferenced: Mapping[str, bool],
        *,
        otherwise: bool,
        parts: Mapping[str, tuple[Pair, ...]] = MappingProxyType({}),
    ) -> None:
        self._data = data
        self._settings = settings
        self._georeferenced = dict(georeferenced)
        self._otherwise = otherwise
        self._parts = dict(parts)

    def __call__(self, pair: Pair) -> Examined:
        """Look at all files of an image."""
        georeferenced = self._georeferenced.get(pair.split or "", self._otherwise)
        parts = self._parts.get(pair.image_id)
        return examine(pair, self._data, self._settings, georeferenced=georeferenced, parts=parts)


def examine_all(pairs: Sequence[Pair], examiner: Examiner, *, workers: int) -> Iterator[Examined]:
    """Yield what is known of each image, in the order of the images, whatever the number of processes.

    As with every start method but fork, a script that calls this keeps its own work under `if __name__ == "__main__":`.

    Args:
        pairs: The images.
        examiner: What is done with each.
        workers: Processes; with 1, or where there is little to read, this one does it.

    Raises:
        DataError: A process died, for want of memory say.
    """
    if min(workers, len(pairs)) <= 1 or not _is_much(pairs):
        yield from map(examiner, pairs)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(pairs)), mp_context=_context(), initializer=_begin, initargs=(examiner,)
    )
    # A few images a message; but never so many that one process has work left when the others have none.
    together = max(1, min(8, len(pairs) // (8 * workers)))
    try:
        yield from pool.map(_look_at, pairs, chunksize=together)
    except BrokenProcessPool as error:
        raise DataError(
            "a process that verified images was killed, most often for want of memory; set verify.workers: 1 to see at "
            "which image, or give it more memory."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _is_much(pairs: Sequence[Pair]) -> bool:
    """Whether there is more to read than this process reads while others would start."""
    total = 0
    for path in (path for pair in pairs for path in pair.all_files):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
        if total >= MUCH_BYTES:
            return True
    return False


def _context() -> ForkServerContext:
    """Start the server of processes, with one thread of linear algebra each: those of several would push each other."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return context


ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What libraries of linear algebra read when they are loaded."""

MUCH_BYTES = 2**24
"""Bytes of files from which on it pays to start processes."""

KEPT_BYTES = 2**28
"""Memory that a process of the pool may keep though it holds nothing just then."""

_examiners: list[Examiner] = []
"""In a process of the pool, what it does with each image: sent once, not with every image."""


def _begin(examiner: Examiner) -> None:
    """Prepare a process: it leaves Ctrl-C to its parent, and ends with it even where that is killed."""
    follow_parent()
    _keep_freed_memory()
    _examiners[:] = [examiner]


def _keep_freed_memory() -> None:
    """Have the C library keep what an array leaves for the next; asking for it anew takes a sixth of the time.

    Source: mallopt(3); only the GNU C library has it, and everything works without.
    """
    trim_threshold, mmap_threshold = -1, -3
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(mmap_threshold, KEPT_BYTES // 4)
        library.mallopt(trim_threshold, KEPT_BYTES)


def _look_at(pair: Pair) -> Examined:
    return _examiners[0](pair)
