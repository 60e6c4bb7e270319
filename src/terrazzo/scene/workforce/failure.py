"""An error of another process as plain data, and the same error here."""

import builtins
import traceback

from terrazzo.errors import TerrazzoError, WorkerError
from terrazzo.record import Record

__all__ = ["Failure"]


class Failure(Record):
    """What went wrong in another process; crosses to this one as JSON."""

    kind: str
    """Name of the error's class."""
    message: str
    """What it says."""
    errno: int | None = None
    """Number of the system's error, where it was one."""
    trace: str
    """Where it arose."""

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Describe an error."""
        number = error.errno if isinstance(error, OSError) else None
        message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        trace = "".join(traceback.format_exception(error))
        return cls(kind=type(error).__name__, message=message, errno=number, trace=trace)

    def error(self) -> Exception:
        """Return an error of the same class and with the same message; its note tells where it arose.

        A class that is neither ours nor Python's becomes a WorkerError.

        >>> Failure(kind="DataError", message="a.tif ends early.", trace="...").error()
        DataError('a.tif ends early.')
        """
        found = self._same()
        found.add_note(f"In another process:\n{self.trace}")
        return found

    def _same(self) -> Exception:
        for kind in _ours(TerrazzoError):
            if kind.__name__ == self.kind:
                return kind(self.message)
        if self.errno is not None:
            return OSError(self.errno, self.message)
        kind = vars(builtins).get(self.kind, WorkerError)
        if kind is not WorkerError and isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(self.message)
            except TypeError:
                # Some of Python's own want more than a message.
                pass
        return WorkerError(f"A worker failed unexpectedly, {self.kind}: {self.message}.")


def _ours(kind: type[TerrazzoError]) -> list[type[TerrazzoError]]:
    return [kind, *(found for below in kind.__subclasses__() for found in _ours(below))]
