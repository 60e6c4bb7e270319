"""A broken promise is an AssertionError that names the record."""

import pytest

from terrazzo.losses import Focal
from terrazzo.testing.verdict import require


def test_a_kept_promise_is_silent():
    require(True, Focal(), "never read")


def test_a_broken_promise_names_the_record_and_its_settings():
    with pytest.raises(AssertionError, match=r"Focal .*'gamma': 3\.0.*: water runs uphill"):
        require(False, Focal(gamma=3), "water runs uphill")
