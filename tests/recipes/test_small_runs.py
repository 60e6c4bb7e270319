"""Every shipped recipe does its whole run on a small data set of the layout that it is for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from terrazzo.config import RunConfig, list_recipes, load_config
from terrazzo.data.synthetic.scenes import write_landscape
from terrazzo.phases.run import run

SIDE = 64
SAMPLES = ("camvid-hardnet68", "cityscapes-hardnet", "deepglobe-trm", "dinov3-geotiff", "folders-smp")
"""Recipes that test_real_samples.py runs."""


def pictures(folder: Path, images: str, labels: str, *, count: int, colours: np.ndarray | None = None) -> None:
    """Write photographs and masks; the brighter a block, the higher its class."""
    generator = np.random.default_rng(list(images.encode()))
    classes = 2 if colours is None else len(colours)
    for number in range(count):
        target = np.kron(generator.integers(0, classes, (4, 4)), np.ones((SIDE // 4, SIDE // 4), dtype=np.int64))
        image = (40 * target[..., None] + generator.integers(0, 20, (SIDE, SIDE, 3))).astype(np.uint8)
        mask = target.astype(np.uint8) if colours is None else colours[target]
        for path, content in ((images, image), (labels, mask)):
            file = folder / path.format(number)
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(file)


def make_demo(folder: Path) -> None:
    write_landscape(folder, seed=0, sides={"train": 192, "val": 96, "test": 96})


def make_folders(folder: Path) -> None:
    for split in ("train", "val", "test"):
        pictures(folder, f"{split}/images/{{}}.png", f"{split}/gt/{{}}.png", count=3)


def make_geotiff(folder: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(16):
        target = generator.integers(0, 2, (1, SIDE, SIDE)).astype(np.uint8)
        for part, content in (("images", np.repeat(100 * target, 4, axis=0)), ("gt", target)):
            path = folder / part / f"scene {number}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            grid = {"crs": "EPSG:32612", "transform": Affine(0.5, 0, 500_000 + 100 * number, 0, -0.5, 4_100_000)}
            size = {"count": len(content), "height": SIDE, "width": SIDE, "dtype": "uint8"}
            with rasterio.open(path, "w", driver="GTiff", photometric="MINISBLACK", alpha="NO", **size, **grid) as out:
                out.write(content)


def make_camvid(folder: Path) -> None:
    for split in ("train", "val"):
        pictures(folder, f"{split}/{{}}.png", f"{split}annot/{{}}.png", count=3)


def make_dubai(folder: Path) -> None:
    colours = ["3C1098", "8429F6", "6EC1E4", "FEDD3A", "E2A929", "9B9B9B"]
    table = np.array([list(bytes.fromhex(colour)) for colour in colours], dtype=np.uint8)
    for tile in (1, 2, 3, 4, 7):
        pictures(folder, f"Tile {tile}/images/{{}}.jpg", f"Tile {tile}/masks/{{}}.png", count=2, colours=table)


MAKERS: dict[str, Callable[[Path], None]] = {
    "camvid": make_camvid,
    "demo": make_demo,
    "dubai": make_dubai,
    "folders": make_folders,
    "geotiff": make_geotiff,
}


def small(name: str, folder: Path, *further: str) -> RunConfig:
    return load_config(
        name,
        f"paths.data='{folder / 'data'}'",
        f"paths.prepared='{folder / 'prepared'}'",
        f"paths.runs='{folder / 'runs'}'",
        "data.patch.size=32",
        "data.patch.overlap=8",
        "model.encoder=resnet18",
        "model.settings={encoder_depth: 3, decoder_channels: [16, 8, 8]}",
        "train.debug=true",
        "machine={workers: 0, precision: float32, threads: 1}",
        *further,
    )


def test_every_recipe_has_a_small_run() -> None:
    assert sorted([*MAKERS, *SAMPLES]) == list_recipes()


@pytest.mark.usefixtures("quiet_torch")
@pytest.mark.parametrize("name", MAKERS)
def test_a_recipe_runs(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path / "data")
    config = small(name, tmp_path)
    summary = run(config)
    assert [phase.name for phase in summary.phases][:2] == ["verify", "prepare"]
    assert summary.bundle is not None
    assert summary.bundle.is_file()
    assert summary.report.is_file()
    judged = [split for split in config.evaluate.splits if split in summary.miou]
    assert judged
    assert all(0 <= summary.miou[split] <= 1 for split in judged)
    assert load_config(config.folder / "config.yaml") == config


@pytest.mark.usefixtures("quiet_torch")
def test_dubai_maps_in_the_colours_of_its_masks(tmp_path: Path) -> None:
    make_dubai(tmp_path / "data")
    summary = run(small("dubai", tmp_path, "predict.enable=true"))
    assert len(summary.maps) == 2
    with Image.open(summary.maps[0]) as mapped:
        colours = {colour[:3] for _, colour in mapped.convert("RGBA").getcolors()}
    listed = {item.colour for item in load_config("dubai").data.classes.items}
    assert colours <= listed
