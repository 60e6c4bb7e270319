"""Warnings of libraries, kept from the user."""

import warnings

import pytest

from terrazzo.geo.quiet import without_warnings


def test_only_the_named_category_is_silent_and_only_inside():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with without_warnings(RuntimeWarning):
            warnings.warn("silent", RuntimeWarning, stacklevel=1)
            warnings.warn("heard", UserWarning, stacklevel=1)
        warnings.warn("heard again", RuntimeWarning, stacklevel=1)
    assert [str(one.message) for one in seen] == ["heard", "heard again"]


def _fail():
    with without_warnings(RuntimeWarning), without_warnings(UserWarning):
        warnings.warn("silent", RuntimeWarning, stacklevel=1)
        raise ValueError("through")


def test_blocks_may_stand_inside_each_other_and_errors_pass():
    with pytest.raises(ValueError, match="through"):
        _fail()
