"""The tree of errors."""

import pickle

import pytest

from terrazzo import errors
from terrazzo.errors import ConfigError, LabelError, LockedError, SpaceError, StorageError, TerrazzoError


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_one_of_ours_and_documented(name: str) -> None:
    kind = vars(errors)[name]
    assert issubclass(kind, TerrazzoError)
    assert kind.__doc__


def test_the_drawing_names_every_error() -> None:
    assert all(name in errors.__doc__ for name in errors.__all__)


def test_everything_defined_is_public() -> None:
    defined = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert defined == set(errors.__all__)


@pytest.mark.parametrize(
    ("kind", "builtin"), [(ConfigError, ValueError), (LabelError, ValueError), (SpaceError, OSError)]
)
def test_errors_are_also_what_python_calls_them(kind: type[Exception], builtin: type[Exception]) -> None:
    with pytest.raises(builtin, match="because"):
        raise kind("because")


def test_a_lock_is_a_matter_of_storage() -> None:
    assert issubclass(LockedError, StorageError)
    assert not issubclass(LockedError, ValueError)


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_survives_the_way_from_a_worker_process(name: str) -> None:
    error = vars(errors)[name]("band 3 of Zürich.tif")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == "band 3 of Zürich.tif"
