"""What comes in: one image in a multipart body, written to the disk as it comes and refused as soon as it is too much.

The body never lies in memory, and nothing of it decides a file's name or place.
"""

import asyncio
import contextlib
import re
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from terrazzo.serve.problems import Problem

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["BODY", "PART", "Pace", "Upload", "receive_image", "safe_name", "scratch"]

PART = "image"
"""Name of the part that holds the image."""

BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [PART],
                "additionalProperties": False,
                "properties": {
                    PART: {"type": "string", "format": "binary", "description": "A GeoTIFF, a PNG or a JPEG."}
                },
            }
        }
    },
}
"""The body in the OpenAPI document; it is read by hand, so that its size counts while it comes in."""

_FIRST_BYTES = 16
"""So many of an image are kept: they tell its format."""
_LARGEST_HEAD = 8 * 1024
_FRAME_BYTES = 16 * 1024
"""Bytes of a body around its image."""
_WRITTEN_AT_ONCE = 2**20
_LONGEST_NAME = 100
_LONGEST_NUMBER = 20


@dataclass(frozen=True)
class Pace:
    """How fast a body must come.

    Attributes:
        pause_seconds: Longest pause between two parts of it.
        least_kib: Least KiB a second, on the average of all its time after the first `pause_seconds`.
    """

    pause_seconds: float
    least_kib: float


@dataclass(frozen=True)
class Upload:
    """An image that has come in.

    Attributes:
        path: Where it lies.
        name: What the client calls it, without folders; for messages.
        first_bytes: They tell its format.
    """

    path: Path
    name: str
    first_bytes: bytes


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Yield a new folder for one request; it is removed on exit."""
    own = folder / uuid.uuid4().hex
    own.mkdir(parents=True)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def safe_name(text: str) -> str:
    """Return what a client calls a file, without folders and without what could be mistaken for anything else.

    >>> safe_name("../../etc/passwd"), safe_name("maps/größe 1.tif"), safe_name(chr(0)), safe_name("..")
    ('passwd', 'größe 1.tif', 'image', 'image')
    """
    last = PurePosixPath(text.replace("\\", "/")).name
    bare = "".join(sign for sign in last if sign.isprintable() and sign not in '<>:"|?*')
    bare = re.sub(r"\s+", " ", bare).strip(" .")[-_LONGEST_NAME:]
    return bare or "image"


async def receive_image(request: Request, path: Path, *, largest: int, pace: Pace) -> Upload:
    """Write the image of a multipart body to a file.

    Args:
        request: Its body is not read yet.
        path: File to write.
        largest: Most bytes of the body.
        pace: How fast it must come.

    Raises:
        Problem: 400 no multipart body or a damaged one; 408 too slow; 413 too large; 415 another type; 422 other parts.
        ClientDisconnect: The client went away.
    """
    boundary = _boundary(request)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > _LONGEST_NUMBER or int(declared) > largest + _FRAME_BYTES):
        raise _too_large(largest)
    with path.open("wb") as file:
        form = _Form(file, largest)
        parser = MultipartParser(boundary, form.callbacks())
        async for chunk in _chunks(request, largest + _FRAME_BYTES, pace, largest):
            try:
                parser.write(chunk)
            except FormParserError as error:
                raise Problem(400, f"The body is no multipart form: {error}.") from error
            if len(form.waiting) >= _WRITTEN_AT_ONCE:
                await asyncio.to_thread(form.flush)
        form.flush()
    if not form.ended:
        raise Problem(400, "The body ends before its last boundary.")
    if form.name is None:
        raise Problem(422, f"The body has no part `{PART}` with an image.")
    return Upload(path, form.name, form.first_bytes)


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        raise Problem(415, "The body is no multipart/form-data.")
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise Problem(400, "The body's type names no boundary of 1 to 70 characters.")
    return boundary


async def _chunks(request: Request, most: int, pace: Pace, largest: int) -> AsyncIterator[bytes]:
    """Yield a body's parts as they come."""
    begun, size = time.monotonic(), 0
    while True:
        try:
            message = await asyncio.wait_for(request.receive(), pace.pause_seconds)
        except TimeoutError as error:
            raise Problem(408, f"Nothing came for {pace.pause_seconds:g} s.") from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise _too_large(largest)
        late = time.monotonic() - begun - pace.pause_seconds
        if late > 0 and size < pace.least_kib * 1024 * late:
            raise Problem(408, f"The body comes at less than {pace.least_kib:g} KiB a second.")
        if chunk:
            yield chunk
        if not message.get("more_body", False):
            return


def _too_large(largest: int) -> Problem:
    return Problem(413, f"The body has more than {largest / 2**20:g} MiB.")


class _Form:
    """The parts of a body as they are found."""

    def __init__(self, file: BinaryIO, largest: int) -> None:
        self.name: str | None = None
        self.size = 0
        self.first_bytes = b""
        self.ended = False
        self.waiting = bytearray()
        self._file = file
        self._largest = largest
        self._head: dict[bytes, bytes] = {}
        self._field = self._value = b""

    def callbacks(self) -> "MultipartCallbacks":
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def flush(self) -> None:
        """Write what waits."""
        self._file.write(self.waiting)
        self.waiting.clear()

    def _begin(self) -> None:
        self._head = {}

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]
        self._bound()

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._bound()

    def _bound(self) -> None:
        if len(self._field) + len(self._value) + sum(map(len, self._head.values())) > _LARGEST_HEAD:
            raise Problem(400, f"The head of a part has more than {_LARGEST_HEAD // 1024} KiB.")

    def _header_end(self) -> None:
        self._head[self._field.lower()] = self._value
        self._field = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._head.get(b"content-disposition", b""))
        field = options.get(b"name", b"").decode(errors="replace")
        if field != PART:
            raise Problem(422, f"The body has a part {safe_name(field)!r}; only `{PART}` is known.")
        if self.name is not None:
            raise Problem(422, f"The body has two parts `{PART}`; send one image a request.")
        self.name = safe_name(options.get(b"filename", b"").decode(errors="replace"))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.size += end - start
        if self.size > self._largest:
            raise _too_large(self._largest)
        if len(self.first_bytes) < _FIRST_BYTES:
            self.first_bytes += data[start : min(end, start + _FIRST_BYTES - len(self.first_bytes))]
        self.waiting += data[start:end]

    def _end(self) -> None:
        self.ended = True
