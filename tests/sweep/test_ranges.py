"""Ranges of numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrazzo.errors import ConfigError
from terrazzo.sweep.ranges import Span, expanded, open_span


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1:5", [1, 2, 3, 4, 5]),
        ("0:10:5", [0, 5, 10]),
        ("0:10:4", [0, 4, 8]),
        ("0.1:0.5:0.1", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("-2:2:2", [-2, 0, 2]),
        ("1e-4:1e-2:log3", [1e-4, 1e-3, 1e-2]),
        ("16:256:log5", [16, 32, 64, 128, 256]),
        ("0:1:lin3", [0, 0, 1]),
        ("0.0:1:lin3", [0.0, 0.5, 1.0]),
        (" 1:3 ", [1, 2, 3]),
    ],
)
def test_values(text: str, values: list[float]) -> None:
    if len(set(values)) < len(values):
        with pytest.raises(ConfigError, match="fewer than 3 different values"):
            expanded(text)
        return
    found = expanded(text)
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize("text", ["a:b", "12:30:00:1", "s3://bucket", "1", "", "1:", ":2", "1:2:sqrt3", "C:\\data"])
def test_other_text_is_no_range(text: str) -> None:
    assert expanded(text) is None
    assert open_span(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5:1", "leads nowhere"),
        ("1:5:0", "leads nowhere"),
        ("1:5:-1", "leads nowhere"),
        ("0.1:0.5", "without a step"),
        ("0:1:log4", "no logarithm"),
        ("2:1:lin4", "leads nowhere"),
        ("1:2.0:lin1", "2 at least"),
        ("1:2.0:lin2.5", "2 at least"),
        ("1:1000000", "at most"),
        ("1:2.0:log", "needs a number of values"),
    ],
)
def test_what_leads_nowhere_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        expanded(text)


def test_an_open_range_is_a_span() -> None:
    assert open_span("1e-4:1e-2:log") == Span(low=1e-4, high=1e-2, scale="log")
    assert open_span("16:128:lin") == Span(low=16, high=128, whole=True)
    assert open_span("1:5") is None
    with pytest.raises(ConfigError, match="no logarithm"):
        open_span("0:1:log")
    with pytest.raises(ConfigError, match="leads nowhere"):
        open_span("2:1:lin")


@given(
    low=st.floats(1e-6, 1e3),
    factor=st.floats(1.5, 1e6),
    share=st.floats(0, 1),
    scale=st.sampled_from(["linear", "log"]),
)
def test_a_number_along_a_span_lies_where_it_should(low: float, factor: float, share: float, scale: str) -> None:
    span = Span(low=low, high=low * factor, scale=scale)
    found = span.at(share)
    assert span.low <= found <= span.high
    if scale == "log":
        exact = np.exp(np.interp(share, [0, 1], np.log([span.low, span.high])))
    else:
        exact = np.interp(share, [0, 1], [span.low, span.high])
    assert math.isclose(found, exact, rel_tol=1e-3)
    assert span.at(0.0) == span.low
    assert span.at(1.0) == span.high
