"""When a scene was taken, as its tags tell it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

__all__ = ["Acquisition", "acquired"]


class Acquisition(NamedTuple):
    """When a scene was taken, in UTC; begin and end are one where an instant is known."""

    begin: datetime
    end: datetime


# GDAL's Sentinel-2, Landsat and commercial imagery drivers, cameras, and TIFF itself, from the surest to the least.
_TAGS = (
    ("PRODUCT_START_TIME", "PRODUCT_STOP_TIME"),
    ("start_datetime", "end_datetime"),
    ("datetime", None),
    ("DATATAKE_1_DATATAKE_SENSING_START", None),
    ("SENSING_TIME", None),
    ("ACQUISITIONDATETIME", None),
    ("ACQUISITION_DATETIME", None),
    ("ACQUISITION_DATE", None),
    ("DATE_ACQUIRED", None),
    ("EXIF_DateTimeOriginal", None),
    ("TIFFTAG_DATETIME", None),
)
_CAMERA = "%Y:%m:%d %H:%M:%S"


def acquired(tags: Mapping[str, str]) -> Acquisition | None:
    """Return when a scene was taken; None where no tag says so.

    A time without zone is taken for UTC. The time of TIFF itself may be that of processing; it counts where nothing
    else is told.

    Args:
        tags: The scene's metadata.

    >>> acquired({"TIFFTAG_DATETIME": "2021:07:03 10:20:30"}).begin.isoformat()
    '2021-07-03T10:20:30+00:00'
    """
    for first, last in _TAGS:
        begin = _time(tags.get(first, ""))
        if begin is None:
            continue
        end = _time(tags.get(last, "")) if last else None
        return Acquisition(begin, end) if end is not None and end >= begin else Acquisition(begin, begin)
    return None


def _time(text: str) -> datetime | None:
    text = text.strip().strip('"')
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            found = datetime.strptime(text, _CAMERA)
        except ValueError:
            return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
