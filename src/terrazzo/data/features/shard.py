"""One file of the feature cache: a safetensors file whose entries are read one by one, each with a single read.

Tensors are named by the number of their entry and of their tap, so that the taps of an entry lie side by side.
"""

import json
import os
import struct
import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from safetensors.torch import save

from terrazzo.data.open_files import file_state
from terrazzo.errors import DataError

__all__ = ["ShardFile", "open_shard", "packed"]

OPEN_SHARDS = 64
"""Files that stay open in a process."""
HEADER_BYTES = 8
LONGEST_HEADER = 100 * 2**20
"""What safetensors itself accepts."""
METADATA_KEY = "terrazzo"
TYPES = {"F16": torch.float16, "BF16": torch.bfloat16}


def packed(entries: Sequence[Sequence[Float[torch.Tensor, "_channel _y _x"]]], described: Mapping[str, str]) -> bytes:
    """Return the bytes of a file.

    Args:
        entries: For each patch its taps, each `channel y x`, float16 or bfloat16.
        described: Goes into the file's metadata, as JSON.
    """
    tensors = {
        # Each with memory of its own, as safetensors asks.
        f"{number:04d}.{tap:02d}": values.clone(memory_format=torch.contiguous_format)
        for number, taps in enumerate(entries)
        for tap, values in enumerate(taps)
    }
    # One key: safetensors writes several in no order, and equal features should be equal files.
    content: bytes = save(tensors, {METADATA_KEY: json.dumps(dict(described), sort_keys=True)})
    return content


class ShardFile:
    """A file kept open for reading.

    It is read, not mapped into memory: a mapped file that was cut off ends the process, and pages that arrive one by
    one come at a fraction of the disk's speed.

    Source: the format of safetensors: 8 bytes with the header's length, a JSON header, then the tensors' bytes.

    Raises:
        DataError: The file is missing, or is no whole safetensors file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._damaged(str(error.strerror)) from error
        # Whoever still reads keeps it open.
        weakref.finalize(self, os.close, self._descriptor)
        self._entries: list[list[tuple[torch.dtype, list[int], int, int]]] = []
        try:
            header = self._header()
            for name in sorted(header):
                number, tensor = int(name.split(".")[0]), header[name]
                begin, end = (self._begin + int(offset) for offset in tensor["data_offsets"])
                self._entries += [[] for _ in range(number + 1 - len(self._entries))]
                self._entries[number].append((TYPES[tensor["dtype"]], list(tensor["shape"]), begin, end))
            last = max(end for entry in self._entries for *_, end in entry)
        except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
            raise self._damaged(f"its header says nothing sensible ({error})") from error
        if os.fstat(self._descriptor).st_size != last:
            raise self._damaged("it is cut off")

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, number: int) -> tuple[Float[torch.Tensor, "_channel _y _x"], ...]:
        """Return the taps of an entry, each `channel y x`.

        Raises:
            DataError: The file cannot be read.
        """
        taps = self._entries[number]
        first = taps[0][2]
        content = self._bytes(first, taps[-1][3] - first)
        return tuple(
            content[begin - first : end - first].view(dtype).reshape(shape) for dtype, shape, begin, end in taps
        )

    def _header(self) -> dict[str, Any]:
        (length,) = struct.unpack("<Q", self._bytes(0, HEADER_BYTES).numpy().tobytes())
        if length > LONGEST_HEADER:
            raise ValueError(f"a header of {length} bytes")
        header: dict[str, Any] = json.loads(self._bytes(HEADER_BYTES, length).numpy().tobytes())
        header.pop("__metadata__", None)
        self._begin = HEADER_BYTES + length
        return header

    def _bytes(self, begin: int, count: int) -> UInt8[torch.Tensor, " byte"]:
        content = torch.empty(count, dtype=torch.uint8)
        room = content.numpy().data
        done = 0
        while done < count:
            try:
                got = os.preadv(self._descriptor, [room[done:]], begin + done)
            except OSError as error:
                raise self._damaged(str(error.strerror)) from error
            if got == 0:
                raise self._damaged("it is cut off")
            done += got
        return content

    def _damaged(self, what: str) -> DataError:
        return DataError(
            f"{self._path} cannot be read as cached features: {what}; run `terrazzo verify --fix`, which computes "
            "damaged ones again."
        )


_LOCK = threading.Lock()
_OPEN: OrderedDict[tuple[str, int, int], ShardFile] = OrderedDict()


def open_shard(path: Path) -> ShardFile:
    """Return a file, kept open for the next reads of this process; one that has changed on the disk is opened again.

    Raises:
        DataError: The file is missing or damaged.
    """
    state = file_state(path)
    with _LOCK:
        if state not in _OPEN:
            _OPEN[state] = ShardFile(path)
            while len(_OPEN) > OPEN_SHARDS:
                _OPEN.popitem(last=False)
        _OPEN.move_to_end(state)
        return _OPEN[state]
