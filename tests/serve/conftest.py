"""A small model, images, and servers around it."""

import contextlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from fastapi.testclient import TestClient
from PIL import Image
from rasterio.crs import CRS

from terrazzo.bundle import Bundle
from terrazzo.data.classes import Class, Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.grid import Grid
from terrazzo.models import ARCHITECTURES
from terrazzo.record import load_plugin
from terrazzo.scene.layer import NOWHERE
from terrazzo.scene.layers import class_layer, layer_path, product_layer
from terrazzo.scene.pam import write_side_file
from terrazzo.scene.products import Product
from terrazzo.scene.writer import open_writer
from terrazzo.serve.application import application
from terrazzo.serve.models import Models, load_models
from terrazzo.serve.settings import ServeSettings
from terrazzo.storage import write_json

load_plugin(Path(__file__).parents[1] / "scene" / "probe_networks.py")

MACHINE = {"accelerator": "cpu", "precision": "float32", "threads": 1}


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolutional network of three classes with random weights; its windows of 64 pixels go in batches of 16."""
    record = ARCHITECTURES.create("probe_convolution", depth=3)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        weights = record.build(bands=3, classes=3).state_dict()
    colours = ("#3C1098", "#00FF00", "#0000FF")
    bundle = Bundle(
        architecture=record,
        bands=Bands(items=tuple(Band(name=name, dtype="uint8") for name in ("red", "green", "blue"))),
        classes=Classes(items=tuple(Class(name=f"class {n} ä", colour=colours[n], values=(n,)) for n in range(3))),
        normalisation=Normalisation(mean=(100.0,) * 3, std=(50.0,) * 3),
        patch_size=64,
        resolution_m=0.5,
        weights=weights,
        training={},
        versions={},
        licence="CC-BY-4.0",
    )
    path = tmp_path_factory.mktemp("serve models") / "land größe.safetensors"
    bundle.save(path)
    return path


@pytest.fixture(scope="session")
def models(bundle_path: Path) -> Models:
    """The model, loaded once for all servers."""
    return load_models([bundle_path], ServeSettings(machine=MACHINE))


@pytest.fixture
def make_client(models: Models, tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Start a server with some settings; all are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def make(**settings: object) -> TestClient:
            given = {"folder": tmp_path / "served", **settings}
            app = application(models, ServeSettings(machine=MACHINE, **given))
            return stack.enter_context(TestClient(app, base_url="http://127.0.0.1"))

        yield make


@pytest.fixture(scope="session")
def make_values() -> Callable[..., np.ndarray]:
    """Make a smooth image, band first."""

    def make(height: int, width: int, *, seed: int = 0) -> np.ndarray:
        coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 2, width // 8 + 2, 3)).astype(np.uint8)
        return np.moveaxis(np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)), -1, 0)

    return make


@pytest.fixture(scope="session")
def png_of() -> Callable[[np.ndarray], bytes]:
    """Encode an image as PNG."""

    def encode(values: np.ndarray) -> bytes:
        file = BytesIO()
        Image.fromarray(np.moveaxis(values, 0, -1)).save(file, "PNG")
        return file.getvalue()

    return encode


@pytest.fixture(scope="session")
def tiff_of() -> Callable[..., bytes]:
    """Encode an image as a georeferenced GeoTIFF."""

    def encode(values: np.ndarray, **profile: object) -> bytes:
        where = {"crs": "EPSG:32612", "transform": Affine(0.5, 0, 300_000, 0, -0.5, 4_100_000)}
        bands, height, width = values.shape
        shape = {"count": bands, "height": height, "width": width, "dtype": values.dtype}
        with rasterio.MemoryFile() as memory:
            with memory.open(driver="GTiff", **shape, **{**where, **profile}) as file:
                file.write(values)
            return bytes(memory.read())

    return encode


@pytest.fixture(scope="session")
def make_map() -> Callable[..., Path]:
    """Write an image, the map of it in stripes of 100 columns, its further layers and its summary.

    Class k stands in stripe k (modulo the classes), nothing in the last 20 columns.
    """

    def make(
        folder: Path,
        *,
        name: str = "map.tif",
        shape: tuple[int, int] = (620, 700),
        classes: tuple[str, ...] = ("wätter", "road", "field"),
        layers: tuple[str, ...] = ("confidence", "probabilities", "steps", "abstain", "sets"),
        values: Literal["index", "source", "colour"] = "index",
        placed: bool = True,
        summary: bool = True,
        scene: str = "scene.tif",
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        where = Affine(0.5, 0, 300_000, 0, -0.5, 4_100_000) if placed else Affine.identity()
        grid = Grid(CRS.from_epsg(32612) if placed else None, where, *shape)
        listed = Classes(items=[{"name": word, "values": [300 + n]} for n, word in enumerate(classes)])
        columns = np.broadcast_to(np.arange(shape[1]) // 100 % len(classes), shape)
        target = np.where(np.arange(shape[1]) < shape[1] - 20, columns, listed.ignore).astype(np.uint8)
        encoded = listed.encode(target, values) if values != "index" else target
        if values == "colour":
            encoded = np.concatenate([encoded, np.where(target == listed.ignore, 0, 255)[None].astype(np.uint8)])
        missing = target == listed.ignore
        probabilities = np.stack([np.where(target == k, 254 - 10 * k, 5) for k in range(len(classes))])
        content = {
            "confidence": np.where(missing, 255, 254 - target)[None],
            "probabilities": np.where(missing, 255, probabilities),
            "steps": np.where(missing, 255, 10 + 10 * columns)[None],
            "abstain": np.where(missing, 255, columns == 1)[None],
            "sets": np.where(missing, 0, np.where(columns == 2, 6, 1 << columns))[None],
        }
        path = folder / name
        goals = {"class": (path, class_layer(listed, values, {"TERRAZZO_SCENE": scene}), np.atleast_3d(encoded.T).T)}
        for layer in layers:
            bands = len(classes) if layer == "probabilities" else 1
            product = Product(layer, np.dtype(np.uint8), bands, 0 if layer == "sets" else 255)
            goals[layer] = (
                layer_path(path, layer),
                product_layer(product, listed, {}),
                content[layer].astype(np.uint8),
            )
        for goal, layer, pixels in goals.values():
            with open_writer(goal, layer, grid, NOWHERE, goal=goal, compression="zstd") as writer:
                writer.write(pixels)
            write_side_file(goal, layer)
        image = np.random.default_rng(5).integers(1, 256, (3, *shape)).astype(np.uint8)
        with rasterio.open(
            folder / scene, "w", driver="GTiff", count=3, height=shape[0], width=shape[1], dtype="uint8",
            **({"crs": grid.crs, "transform": where} if placed else {}),
        ) as file:  # fmt: skip
            file.write(image)
        if summary:
            counts = [int((target == k).sum()) for k in range(len(classes))]
            entry = {"scene": str(folder / scene), "out": str(path), "height": shape[0], "width": shape[1]}
            entry |= {"layers": {}, "class_pixels": counts, "warnings": ["the pixels are small"]}
            write_json(path.with_suffix(".summary.json"), {"folder": str(folder), "maps": [entry]})
        return path

    return make
