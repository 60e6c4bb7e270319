"""Strips are joined to the map in a thread while others are computed: little is left to do after the last one."""

import threading
from collections.abc import Callable

import rasterio

from terrazzo.scene.assemble import FinishedRows, Seam, finished_rows
from terrazzo.scene.journal import Journal
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import Products
from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.threads import one_thread

__all__ = ["Joining"]


class Joining:
    """Hands a map's rows on from top to bottom, as far as its strips are finished. Use as a context manager.

    Leaving it ends the thread, wherever it is; `finish` waits for the last row.

    Args:
        plan: How the scene is cut.
        journal: Knows which strips are finished, in whatever order.
        products: What is decided.
        take: Takes rows, in the thread.

    Attributes:
        seams: How the two sides of each border between strips agree, once `finish` has returned.
    """

    def __init__(
        self, plan: ScenePlan, journal: Journal, products: Products, take: Callable[[FinishedRows], None]
    ) -> None:
        self.seams: list[Seam] = []
        self._plan = plan
        self._journal = journal
        self._products = products
        self._take = take
        self._news = threading.Condition()
        self._complete = False
        self._left = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="terrazzo-joining", daemon=True)

    def __enter__(self) -> "Joining":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._news:
            self._left = True
            self._news.notify()
        self._thread.join()

    def look(self) -> None:
        """Go on with what the journal holds by now; an error of the thread is raised here."""
        with self._news:
            self._news.notify()
        self._raise_failure()

    def finish(self) -> None:
        """Wait for the last row, now that the journal holds every strip; an error of the thread is raised here."""
        with self._news:
            self._complete = True
            self._news.notify()
        self._thread.join()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            # Errors of GDAL are told to whoever has an environment, and each thread has its own.
            with rasterio.Env(), one_thread():
                for rows in finished_rows(
                    self._plan.strips,
                    self._record,
                    self._journal.folder,
                    self._products,
                    seams=self.seams,
                    columns=self._plan.columns,
                ):
                    if self._left:
                        return
                    self._take(rows)
        except _LeftError:
            return
        except BaseException as error:  # noqa: BLE001 - kept and raised where somebody waits
            self._failure = error

    def _record(self, strip: int) -> StripRecord:
        """Return a strip's record, once it is there."""
        with self._news:
            while strip not in self._journal.records and not self._complete and not self._left:
                self._news.wait()
            if self._left:
                raise _LeftError
            return self._journal.records[strip]


class _LeftError(Exception):
    """Nobody waits for the map any more."""
