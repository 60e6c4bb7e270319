"""When a scene was taken: tags of several makers, and what says nothing."""

from datetime import UTC, datetime

import pytest

from terrazzo.scene.acquisition import acquired

NOON = datetime(2021, 7, 3, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "tags",
    [
        {"TIFFTAG_DATETIME": "2021:07:03 12:00:00"},
        {"ACQUISITIONDATETIME": "2021-07-03 12:00:00"},
        {"ACQUISITION_DATETIME": "2021-07-03T12:00:00Z"},
        {"SENSING_TIME": '"2021-07-03T14:00:00+02:00"'},
        {"EXIF_DateTimeOriginal": "2021:07:03 12:00:00", "TIFFTAG_DATETIME": "2022:01:01 00:00:00"},
        {"PRODUCT_START_TIME": "2021-07-03T12:00:00.000Z", "PRODUCT_STOP_TIME": "2021-07-03T12:00:00.000Z"},
        {"PRODUCT_START_TIME": "0000", "TIFFTAG_DATETIME": "2021:07:03 12:00:00"},
    ],
)
def test_an_instant(tags: dict[str, str]) -> None:
    assert acquired(tags) == (NOON, NOON)


def test_an_interval() -> None:
    tags = {"PRODUCT_START_TIME": "2021-07-03T12:00:00Z", "PRODUCT_STOP_TIME": "2021-07-03T12:00:20Z"}
    assert acquired(tags) == (NOON, NOON.replace(second=20))


def test_an_end_before_the_begin_counts_for_nothing() -> None:
    tags = {"start_datetime": "2021-07-03T12:00:00Z", "end_datetime": "2020-07-03T12:00:00Z"}
    assert acquired(tags) == (NOON, NOON)


@pytest.mark.parametrize("tags", [{}, {"TIFFTAG_DATETIME": "0000:00:00 00:00:00"}, {"DATE_ACQUIRED": "yesterday"}])
def test_what_says_nothing(tags: dict[str, str]) -> None:
    assert acquired(tags) is None
