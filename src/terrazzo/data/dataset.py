"""From a patch key to a sample, and from lists of keys to a loader whose batches no worker count can change."""

import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Integer
from torch.utils.data import DataLoader, Dataset

from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.child_process import follow_parent
from terrazzo.data.features.cache import FeatureCache
from terrazzo.data.normalisation import Normalisation
from terrazzo.data.prepared import Prepared
from terrazzo.data.reading import read_patch
from terrazzo.data.sample import Batch, PatchKey, Sample, collate
from terrazzo.errors import ContractError, TerrazzoError
from terrazzo.geo.grid import Window
from terrazzo.record import load_plugin

__all__ = ["PatchDataset", "PatchLoader", "loader", "padded", "prestart_workers"]


class PatchDataset(Dataset[Sample]):
    """Reads patches of prepared data as samples; a sample is a function of its key alone.

    It holds no open file and pickles small, so that loader processes can be started at any time.

    Args:
        prepared: Catalog, patch index, bands and classes.
        normalisation: What the network is trained with: that of the data, or that of pretrained weights.
        augmentation: Random changes, seeded by the key; for training only. None leaves samples as they are.
        pad_to: Side of the square that smaller patches are filled up to at the bottom and the right (0, invalid,
            ignore), before augmentation; for training only, evaluation is never padded. None leaves sizes as they are.
        features: Cache that samples get their features from; with it, the augmentation decides which of the cached
            views a sample is.

    Raises:
        ContractError: The normalisation has another number of bands.
    """

    def __init__(
        self,
        prepared: Prepared,
        *,
        normalisation: Normalisation,
        augmentation: Augmentation | None = None,
        pad_to: int | None = None,
        features: FeatureCache | None = None,
    ) -> None:
        if len(normalisation.mean) != len(prepared.bands):
            raise ContractError(
                f"The normalisation knows {len(normalisation.mean)} bands, but the prepared data in "
                f"{prepared.folder} has {len(prepared.bands)}: {', '.join(prepared.bands.names)}."
            )
        self.bands, self.classes = prepared.bands, prepared.classes
        self.normalisation, self.augmentation, self.pad_to = normalisation, augmentation, pad_to
        self.features = features
        frame = prepared.index.frame
        self._entries = {entry.image_id: entry for entry in prepared.catalog.entries()}
        self._images = frame["image_id"].tolist()
        self._windows = frame[["y", "x", "height", "width"]].to_numpy(dtype=np.int64)
        self._cores = frame[["core_y", "core_x", "core_height", "core_width"]].to_numpy(dtype=np.int64)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, key: PatchKey) -> Sample:
        """Return the sample of a key.

        Raises:
            DataError: The image or its label cannot be read.
            ContractError: The patch leaves the image or its label.
            LabelError: The label holds a value that no class lists.
        """
        read = self._read(key.row)
        sample = read if self.pad_to is None else padded(read, self.pad_to, self.classes.ignore)
        if self.features is not None:
            filled = sample.target.shape != read.target.shape
            return self.features.attached(sample, augmentation=self.augmentation, seed=key.seed, padded=filled)
        if self.augmentation is not None:
            sample = self.augmentation(sample, seed=key.seed, ignore=self.classes.ignore)
        return sample

    def _read(self, row: int) -> Sample:
        """The patch as it lies on the disk, normalised."""
        entry = self._entries[self._images[row]]
        window, core = Window(*self._windows[row].tolist()), Window(*self._cores[row].tolist())
        raster, labels = read_patch(entry, window, self.bands, self.classes)
        inner = Window(core.y - window.y, core.x - window.x, core.height, core.width)
        image = self.normalisation(raster.values, raster.valid)
        return _sample(image, labels, raster.valid, row=row, core=inner, ignore=self.classes.ignore)


def _sample(
    image: Float32[np.ndarray, "band y x"],
    labels: Integer[np.ndarray, "y x"],
    valid: Bool[np.ndarray, "y x"],
    *,
    row: int,
    core: Window,
    ignore: int,
) -> Sample:
    """Arrays as tensors; a pixel that was not measured has no label."""
    target = np.where(valid, labels.astype(np.int64), ignore)
    return Sample(torch.from_numpy(image), torch.from_numpy(target), torch.tensor(valid), row, core)


def padded(sample: Sample, side: int, ignore: int) -> Sample:
    """Return the sample filled up to a square at the bottom and the right: image 0, not valid, target ignore.

    Raises:
        ContractError: The sample is larger.
    """
    height, width = sample.target.shape
    if max(height, width) > side:
        raise ContractError(f"A patch of {height} x {width} pixels cannot be padded to {side} x {side}.")
    if height == width == side:
        return sample
    image = sample.image.new_zeros((len(sample.image), side, side))
    target = sample.target.new_full((side, side), ignore)
    valid = sample.valid.new_zeros((side, side))
    image[:, :height, :width], target[:height, :width], valid[:height, :width] = (
        sample.image,
        sample.target,
        sample.valid,
    )
    return sample.with_pixels(image, target, valid)


class _Plugins:
    """The plug-in files of this process; unpickling one loads them first."""

    def __reduce__(self) -> tuple[Any, ...]:
        loaded = [module for name, module in sys.modules.items() if name.startswith("terrazzo_plugin_")]
        return _load_plugins, ([str(module.__file__) for module in loaded],)


def _load_plugins(paths: list[str]) -> _Plugins:
    for path in paths:
        load_plugin(Path(path))
    return _Plugins()


class _Carried(Dataset[Sample]):
    """A dataset on its way to a loader process: plug-ins before it, errors back as values.

    torch would rewrap an error from a loader process and put a traceback into its message.
    """

    def __init__(self, dataset: PatchDataset) -> None:
        # The order matters: a transform of a plug-in can be unpickled only after the plug-in is loaded.
        self._plugins = _Plugins()
        self._dataset = dataset

    def __getitems__(self, keys: list[PatchKey]) -> list[Sample] | TerrazzoError:
        try:
            return [self._dataset[key] for key in keys]
        except TerrazzoError as error:
            return error


def _collate(samples: list[Sample] | TerrazzoError) -> Batch | TerrazzoError:
    return samples if isinstance(samples, TerrazzoError) else collate(samples)


def _start_worker(_number: int) -> None:
    """One thread of arithmetic, Ctrl-C left to the main process, and no life after it."""
    torch.set_num_threads(1)
    follow_parent()


class PatchLoader(DataLoader[Sample]):
    """torch's loader, which raises an error of a loader process as it was raised there."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Yield the batches in order."""
        for batch in super().__iter__():
            if isinstance(batch, TerrazzoError):
                raise batch
            yield batch


def _context() -> ForkServerContext:
    """The start method of loader processes, its server told what to import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", __name__])
    return context


def prestart_workers() -> None:
    """Begin to start the server of loader processes and return at once.

    The server takes seconds to import torch, once a process; called early, that happens while a network is built.
    """
    _context()
    forkserver.ensure_running()


def loader(
    dataset: PatchDataset, batches: Sequence[Sequence[PatchKey]], *, workers: int = 0, pin: bool = False
) -> PatchLoader:
    """Return a loader of given batches, the same bits in the same order for any number of workers.

    Loader processes live as long as one iteration. They are forked from a clean server process that has imported torch
    and rasterio but opened and locked nothing ("forkserver"): a fork of this process would inherit its threads' locks,
    its open rasters and the lock of its run folder, which would outlive a kill by seconds. As with every start method
    but fork, a script that calls this keeps its own work under `if __name__ == "__main__":`.

    Args:
        dataset: Where the samples come from.
        batches: Keys of each batch.
        workers: Loader processes; 0 reads in this one.
        pin: Put batches into page-locked memory, from which a GPU copies faster.
    """
    return PatchLoader(
        _Carried(dataset),
        batch_sampler=[list(batch) for batch in batches],
        num_workers=workers,
        collate_fn=_collate,
        worker_init_fn=_start_worker,
        multiprocessing_context=_context() if workers else None,
        pin_memory=pin,
        # torch draws a base seed here; from the global generator, the count of loaders would change the run.
        generator=torch.Generator().manual_seed(0),
    )
