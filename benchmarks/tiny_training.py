"""A training small enough to be killed dozens of times: tiny images, a tiny network with a norm and dropout.

Used by kill_training.py, train_overhead.py and the tests of the training room; a plug-in file, so that a bundle of the
tiny network can be loaded again.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import rasterio
import torch

from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.catalog import BandPlace, Catalog, ImageEntry
from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.normalisation import Normalisation
from terrazzo.data.patches import PatchIndex, cut
from terrazzo.data.prepared import Prepared, load_prepared, save_prepared
from terrazzo.geo.bands import Band, Bands
from terrazzo.losses import CrossEntropy
from terrazzo.machine import MachineSettings
from terrazzo.models.architecture import ARCHITECTURES, Architecture, Network
from terrazzo.models.output import Output
from terrazzo.record import Table
from terrazzo.storage import fingerprint
from terrazzo.training.job import TrainingJob
from terrazzo.training.optim import AdamW
from terrazzo.training.schedule import Cosine
from terrazzo.training.settings import TrainSettings

IGNORE = 255


class TinyNetwork(Network):
    """Two convolutions with a norm and dropout between them: what exact resume has to get right."""

    def __init__(self, bands: int, classes: int, settings: "Tiny") -> None:
        super().__init__()
        width = settings.width
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(bands, width, 3, padding=1),
            torch.nn.BatchNorm2d(width),
            torch.nn.ReLU(),
            torch.nn.Dropout2d(settings.dropout),
            *(torch.nn.Conv2d(width, width, 3, padding=1) for _ in range(settings.hidden)),
            torch.nn.Conv2d(width, classes, 1),
        )

    def forward(self, image: torch.Tensor) -> Output:
        """Answer logits at the size of the input."""
        return Output(self.layers(image))


class Tiny(Architecture):
    """Settings of the tiny network."""

    name: Literal["tiny"] = "tiny"
    width: int = 8
    """Channels between the convolutions."""
    dropout: float = 0.2
    """Share of those channels that is dropped in training."""
    hidden: int = 0
    """Further convolutions between them, whose matrices Muon moves."""

    def build(self, *, bands: int, classes: int) -> Network:
        """Return the network."""
        return TinyNetwork(bands, classes, self)


class OneLayerNetwork(Network):
    """One convolution: almost nothing, so that a loop's own cost shows."""

    def __init__(self, bands: int, classes: int) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(bands, classes, 3, padding=1)

    def forward(self, image: torch.Tensor) -> Output:
        """Answer logits at the size of the input."""
        return Output(self.layer(image))


class OneLayer(Architecture):
    """Settings of the network of one layer."""

    name: Literal["one_layer"] = "one_layer"

    def build(self, *, bands: int, classes: int) -> Network:
        """Return the network."""
        return OneLayerNetwork(bands, classes)


Table.of(ARCHITECTURES.family).register("one_layer", f"{__name__}:OneLayer")
Table.of(ARCHITECTURES.family).register("tiny", f"{__name__}:Tiny")


def write_scene(folder: Path, name: str, *, seed: int, height: int, width: int) -> tuple[Path, Path]:
    """Write an image of coloured fields with noise, and its label with an ignored corner; return both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    fields = generator.integers(0, 3, (height // 6 + 1, width // 6 + 1))
    label = np.kron(fields, np.ones((6, 6), dtype=np.int64))[:height, :width].astype(np.uint8)
    colours = np.array([[60, 120, 60], [150, 60, 80], [90, 90, 170]])
    image = np.clip(colours[label].transpose(2, 0, 1) + generator.normal(0, 35, (3, height, width)), 0, 255)
    label[:3, :4] = IGNORE
    paths = folder / f"{name}.tif", folder / f"{name}_label.tif"
    for path, values in zip(paths, (image.astype(np.uint8), label[None]), strict=True):
        profile = {"driver": "GTiff", "dtype": "uint8", "count": len(values), "height": height, "width": width}
        transform = rasterio.Affine(1, 0, 100, 0, -1, 200)
        with rasterio.open(path, "w", **profile, transform=transform, crs="EPSG:32632") as file:
            file.write(values)
    return paths


def tiny_prepared(folder: Path, *, patch: int = 16, overlap: int = 4, sizes: dict[str, Any] | None = None) -> Prepared:
    """Write images, cut them and return them as prepared data.

    Args:
        folder: Where images and tables are written.
        patch: Side of a patch.
        overlap: Pixels that neighbouring patches share.
        sizes: Of each role, the (height, width) of its images.
    """
    sizes = sizes or {"train": [(40, 48), (33, 40), (40, 40)], "val": [(37, 41), (20, 33)]}
    entries, rows = [], []
    for role, shapes in sizes.items():
        for number, (height, width) in enumerate(shapes):
            name = f"{role}-{number}"
            image, label = write_scene(folder / "images", name, seed=len(entries), height=height, width=width)
            stack = tuple(BandPlace(band, 0, position) for position, band in enumerate(("red", "green", "blue")))
            entries.append(
                ImageEntry(name, image, RasterLabel(rasters=(label,)), (), role, None, height, width, stack=stack)
            )
            with rasterio.open(label) as file:
                rows += _patch_rows(name, role, file.read(1), patch, overlap)
    index = PatchIndex(pd.DataFrame(rows))
    roles = {role: index.frame[index.frame["split"] == role] for role in sizes}
    prepared = Prepared(
        folder=folder,
        catalog=Catalog(entries),
        index=index,
        bands=Bands(items=tuple(Band(name=name) for name in ("red", "green", "blue"))),
        classes=Classes(items=tuple(Class(name=name) for name in ("wood", "roof", "water")), ignore_values=(IGNORE,)),
        normalisation=Normalisation(mean=(100.0, 90.0, 103.0), std=(50.0, 45.0, 55.0)),
        pixel_counts={role: tuple(np.sum(frame["counts"].tolist(), axis=0).tolist()) for role, frame in roles.items()},
        ignored_counts=dict.fromkeys(sizes, 0),
        unlisted_counts=dict.fromkeys(sizes, 0),
        warnings=(),
        fingerprint=fingerprint([sorted(sizes), patch, overlap]),
        resolution_m=1.0,
        patch_size=patch,
        max_ignored_share=0.9,
    )
    save_prepared(prepared, inputs="0" * 64)
    return load_prepared(folder)[0]


def _patch_rows(name: str, role: str, label: np.ndarray, patch: int, overlap: int) -> list[dict[str, Any]]:
    rows = []
    for window, core in cut(*label.shape, size=patch, step=patch - overlap):
        inside = label[window.slices]
        row = {
            "image_id": name,
            "split": role,
            "fold": None,
            "region": None,
            "ignored_share": float((inside == IGNORE).mean()),
        }
        row |= window._asdict() | {f"core_{key}": value for key, value in core._asdict().items()}
        rows.append(row | {"counts": [int((inside == value).sum()) for value in range(3)]})
    return rows


def tiny_job(folder: Path, prepared: Prepared, **changes: object) -> TrainingJob:
    """Return a training of a few epochs; `changes` replace fields of the job.

    Args:
        folder: Run folder.
        prepared: The data.
        **changes: Fields of `TrainingJob`.
    """
    parts: dict[str, Any] = {
        "name": "tiny",
        "folder": folder,
        "prepared": prepared,
        "architecture": Tiny(),
        "loss": CrossEntropy(),
        "optimizer": AdamW(lr=3e-3),
        "schedule": Cosine(warmup_steps=3),
        "augmentation": Augmentation(set="medium"),
        "settings": TrainSettings(epochs=3, batch_size=4, log_every=2, worst_samples=2, checkpoint_every_steps=3),
        "machine": MachineSettings(accelerator="cpu", precision="float32", threads=1, workers=0),
        "seed": 7,
    }
    return TrainingJob(**(parts | changes))
