"""Filling the feature cache: the frozen part of a network over all patches and views, in files that appear whole.

Arithmetic is float32 whatever training uses. Batches lie within files and files are dealt to processes whole, so that
neither the number of processes nor that of loader processes nor a kill in between changes a bit.
"""

import contextlib
import hashlib
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float

from terrazzo.data.dataset import PatchDataset, loader
from terrazzo.data.features.cache import FeatureCache
from terrazzo.data.features.names import View
from terrazzo.data.features.plan import FEATURES_FOLDER, Shard
from terrazzo.data.features.shard import packed
from terrazzo.data.features.views import viewed
from terrazzo.data.prepared import Prepared
from terrazzo.data.sample import PatchKey
from terrazzo.errors import ConfigError, ModelError, SpaceError
from terrazzo.models.architecture import Cacheable, Network
from terrazzo.progress import Listener, Progress, silent
from terrazzo.storage import locked, require_space, sweep, write_bytes
from terrazzo.training.objective import MEMORY_FORMAT

__all__ = ["Crew", "Encoder", "fill"]

HEADER_BYTES = 2**17
"""More than the header of a file takes."""
TYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@runtime_checkable
class Crew(Protocol):
    """Processes that share work, as one of them sees it."""

    @property
    def rank(self) -> int:
        """Number of this process, 0..world_size - 1."""
        ...

    @property
    def world_size(self) -> int:
        """How many there are."""
        ...

    def wait(self) -> None:
        """Go on when all are here."""
        ...


@dataclass(frozen=True)
class Encoder:
    """What computes features.

    Attributes:
        network: Its frozen part is asked; put into evaluation mode and onto the device.
        device: Where it computes.
        batch_size: Patches that it sees at a time, at most.
        workers: Loader processes.
        processes: Those that share the work, each of which must call `fill`; None for this one alone.
    """

    network: Network
    device: torch.device
    batch_size: int
    workers: int = 0
    processes: Crew | None = None

    @property
    def first(self) -> bool:
        """Whether this process tells the listener and writes the index."""
        return self.processes is None or self.processes.rank == 0

    def dealt(self, shards: Sequence[Shard]) -> list[Shard]:
        """Return the files that this process writes."""
        return list(shards if self.processes is None else shards[self.processes.rank :: self.processes.world_size])

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.processes is not None:
            self.processes.wait()

    def encode(
        self, image: Float[torch.Tensor, "batch band y x"], view: View
    ) -> tuple[Float[torch.Tensor, "batch _channel _y _x"], ...]:
        """Return the features of a view of images, in float32 or as the network answers them.

        Raises:
            ConfigError: The network has no frozen part.
        """
        if not isinstance(self.network, Cacheable):
            raise ConfigError(f"{type(self.network).__name__} has no features that could be cached.")
        seen = viewed(image.to(self.device, non_blocking=True), view).contiguous(memory_format=MEMORY_FORMAT)
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
            return self.network.encode(seen)


def fill(
    cache: FeatureCache, prepared: Prepared, encoder: Encoder, *, force: bool = False, listener: Listener = silent
) -> None:
    """Compute what a cache lacks; what is finished stays, and a finished cache costs no more than a look at its files.

    Args:
        cache: To be filled.
        prepared: The data.
        encoder: What computes.
        force: Compute everything again.
        listener: Told of the first process's progress.

    Raises:
        SpaceError: The disk has too little room, or became full; files that are finished stay.
        LockedError: Another process fills the same cache.
        ModelError: Features are not finite in the cache's type.
    """
    if not force and cache.settled:
        return
    with locked(cache.folder) if encoder.first else contextlib.nullcontext():
        if encoder.first:
            sweep(cache.folder)
        pending = list(cache.shards) if force else cache.missing()
        encoder.network.to(encoder.device).eval()
        needed = _bytes_of(pending, prepared, encoder, TYPES[cache.recipe.dtype])
        views = len({shard.view for shard in cache.shards})
        patches = sum(len(shard.rows) for shard in cache.shards)
        require_space(cache.folder, needed, f"a cache of {patches} features (prepare.cache: features)")
        # Nobody writes before everybody has looked, so that all deal the same files.
        encoder.wait()
        mine = encoder.dealt(pending)
        told = listener if encoder.first else silent
        total = sum(len(shard.rows) for shard in mine)
        with Progress("features", listener=told, total=total, unit="patches") as progress:
            progress.note(
                f"{patches} features in {views} view{'s' if views > 1 else ''}, of which "
                f"{sum(len(shard.rows) for shard in pending)} are missing, at most {needed / 2**30:.2f} GiB in "
                f"{cache.recipe.dtype}, on {encoder.device.type}, to {cache.folder}{_others(cache)}"
            )
            written = _Filling(cache, prepared, encoder, progress).write(mine)
        encoder.wait()
        if encoder.first:
            cache.finish(written)
    encoder.wait()


def _bytes_of(shards: Sequence[Shard], prepared: Prepared, encoder: Encoder, dtype: torch.dtype) -> int:
    """Return the most bytes that files take: smaller patches have smaller features."""
    if not shards:
        return 0
    side = prepared.patch_size
    maps = encoder.encode(torch.zeros((1, len(prepared.bands), side, side)), "identity")
    entry = sum(math.prod(one.shape) for one in maps) * dtype.itemsize
    return sum(len(shard.rows) * entry + HEADER_BYTES for shard in shards)


def _others(cache: FeatureCache) -> str:
    """Say how much room the caches of other models, views or settings take beside this one."""
    place = cache.folder.parent
    others = [folder for folder in place.iterdir() if folder.is_dir() and folder != cache.folder]
    room = sum(path.stat().st_size for folder in others for path in folder.glob("*.safetensors"))
    if not room:
        return ""
    return (
        f"; features of other models or settings in {place} take {room / 2**30:.2f} GiB, delete their folders if they "
        f"serve no more ({FEATURES_FOLDER}/{cache.folder.name} is this one)"
    )


class _Filling:
    """The files of one process: read, encoded, and written by a thread of their own while the next is computed."""

    def __init__(self, cache: FeatureCache, prepared: Prepared, encoder: Encoder, progress: Progress) -> None:
        self._cache, self._prepared, self._encoder, self._progress = cache, prepared, encoder, progress
        self._dtype = TYPES[cache.recipe.dtype]

    def write(self, shards: Sequence[Shard]) -> dict[str, str]:
        """Write files and return the hash of each by its name."""
        hashes: dict[str, str] = {}
        under_way: tuple[str, Future[str]] | None = None
        with ThreadPoolExecutor(1) as writer:
            for padded in (False, True):
                for shard, entries in self._computed([one for one in shards if one.padded == padded], padded=padded):
                    # One file waits at most, so that memory stays bounded.
                    if under_way is not None:
                        hashes[under_way[0]] = under_way[1].result()
                    under_way = shard.name, writer.submit(self._put, shard, entries)
            if under_way is not None:
                hashes[under_way[0]] = under_way[1].result()
        return hashes

    def _computed(
        self, shards: Sequence[Shard], *, padded: bool
    ) -> Iterator[tuple[Shard, list[tuple[torch.Tensor, ...]]]]:
        batches = [(shard, rows) for shard in shards for rows in self._batches(shard)]
        if not batches:
            return
        dataset = PatchDataset(
            self._prepared,
            normalisation=self._cache.recipe.normalisation,
            pad_to=self._prepared.patch_size if padded else None,
        )
        keys = [[PatchKey(row, 0) for row in rows] for _, rows in batches]
        workers = min(self._encoder.workers, len(keys))
        arriving = loader(dataset, keys, workers=workers, pin=self._encoder.device.type == "cuda")
        entries: list[tuple[torch.Tensor, ...]] = []
        for (shard, rows), batch in zip(batches, arriving, strict=True):
            entries += self._narrowed(self._encoder.encode(batch.image, shard.view), rows)
            self._progress.advance(len(rows))
            if len(entries) == len(shard.rows):
                yield shard, entries
                entries = []

    def _batches(self, shard: Shard) -> Iterator[tuple[int, ...]]:
        """Cut a file's rows into batches of equal shapes."""
        index, size = self._prepared.index, self._encoder.batch_size
        shapes = [None if shard.padded else index.window(row)[2:] for row in shard.rows]
        begin = 0
        for position in range(1, len(shapes) + 1):
            if position == len(shapes) or shapes[position] != shapes[begin] or position - begin == size:
                yield shard.rows[begin:position]
                begin = position

    def _narrowed(self, maps: Sequence[torch.Tensor], rows: Sequence[int]) -> list[tuple[torch.Tensor, ...]]:
        """Return the entries of a batch in the cache's type, on the processor."""
        narrow = [one.to(self._dtype).cpu() for one in maps]
        if not all(bool(torch.isfinite(one).all()) for one in narrow):
            images = sorted({self._prepared.index.image_id(row) for row in rows})
            raise ModelError(
                f"Features of {', '.join(images)} are not finite in {self._cache.recipe.dtype}; set "
                "prepare.cache_dtype: bfloat16, whose range is that of float32, or look at those images."
            )
        return [tuple(one[number] for one in narrow) for number in range(len(rows))]

    def _put(self, shard: Shard, entries: list[tuple[torch.Tensor, ...]]) -> str:
        content = packed(entries, {"view": shard.view, "padded": str(shard.padded).lower()})
        path: Path = self._cache.folder / shard.name
        try:
            write_bytes(path, content)
        except SpaceError as error:
            raise SpaceError(
                f"{error} {path.parent} keeps the features that are finished; `terrazzo prepare` goes on with the "
                "others, and prepare.cache: none does without."
            ) from error
        return hashlib.sha256(content).hexdigest()
