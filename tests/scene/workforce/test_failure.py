"""An error of another process is the same error here."""

import errno

import pytest

from terrazzo.errors import DataError, LabelError, OutOfMemoryError, SpaceError, TerrazzoError, WorkerError
from terrazzo.scene.workforce.failure import Failure


def crossed(error: BaseException) -> Exception:
    with pytest.raises(type(error)) as caught:
        raise error
    return Failure.model_validate_json(Failure.of(caught.value).model_dump_json()).error()


@pytest.mark.parametrize("kind", [DataError, LabelError, SpaceError, OutOfMemoryError, TerrazzoError, WorkerError])
def test_our_errors_keep_class_and_message(kind: type[TerrazzoError]) -> None:
    found = crossed(kind("a.tif ends early; träge."))
    assert type(found) is kind
    assert str(found) == "a.tif ends early; träge."


@pytest.mark.parametrize("kind", [MemoryError, ValueError, RuntimeError, ZeroDivisionError])
def test_errors_of_python_keep_their_class(kind: type[Exception]) -> None:
    found = crossed(kind("because"))
    assert type(found) is kind
    assert str(found) == "because"


def test_errors_of_the_system_keep_their_number() -> None:
    found = crossed(OSError(errno.ENOSPC, "No space left on device", "/maps/a"))
    assert isinstance(found, OSError)
    assert found.errno == errno.ENOSPC
    assert found.strerror == "No space left on device"
    assert isinstance(crossed(FileNotFoundError(errno.ENOENT, "gone")), FileNotFoundError)


def test_a_system_error_without_a_number_keeps_its_words() -> None:
    found = crossed(OSError("short"))
    assert isinstance(found, OSError)
    assert str(found) == "short"


class ForeignError(Exception):
    """A class that only its own process knows."""


@pytest.mark.parametrize(
    "error", [ForeignError("odd"), UnicodeDecodeError("utf-8", b"x", 0, 1, "odd"), KeyboardInterrupt()]
)
def test_what_cannot_be_made_again_is_named(error: BaseException) -> None:
    found = crossed(error)
    assert isinstance(found, WorkerError)
    assert type(error).__name__ in str(found)


def test_a_note_tells_where_it_arose() -> None:
    assert "in crossed" in crossed(DataError("x")).__notes__[0]
