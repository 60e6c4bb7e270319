"""The recipes of other trainers do their whole runs on real samples of the layouts that they are for."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrazzo.config import RunConfig, load_config
from terrazzo.data.colours import hexadecimal
from terrazzo.data.features.plan import FEATURES_FOLDER
from terrazzo.phases.run import run
from terrazzo.phases.summary import RunSummary

pytestmark = pytest.mark.usefixtures("quiet_torch")
SIDE = 64


def carried_out(name: str, folder: Path, *settings: str) -> tuple[RunConfig, RunSummary]:
    """Run a recipe on the data in `folder/data`, four updates an epoch at most."""
    config = load_config(
        name,
        *(f"paths.{part}='{folder / part}'" for part in ("data", "prepared", "runs")),
        "train.debug=true",
        "machine={workers: 0, precision: float32, threads: 1}",
        *settings,
    )
    return config, run(config)


def require_whole(config: RunConfig, summary: RunSummary) -> None:
    assert summary.bundle is not None
    assert summary.bundle.is_file()
    assert summary.report.is_file()
    assert 0 <= summary.miou["val"] <= 1
    log = (config.folder / "log.csv").read_text().splitlines()
    assert len(log) == 3  # two epochs under their heading


def cut(source: Path, goal: Path, change: Callable[[Image.Image], Image.Image] = Image.Image.copy) -> None:
    """Write the upper left corner of an image elsewhere."""
    goal.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as image:
        change(image.crop((0, 0, SIDE, SIDE))).save(goal)


def test_deepglobe_trm_runs_on_dubai_in_deepglobes_layout(real_data: Path, tmp_path: Path) -> None:
    theirs = [hexadecimal(item.colour) for item in load_config("dubai").data.classes.items]
    ours = [item.colour for item in load_config("deepglobe-trm").data.classes.items]

    def recoloured(mask: Image.Image) -> Image.Image:
        colours = np.asarray(mask.convert("RGB"))
        found = np.zeros_like(colours)
        for one, other in zip(theirs, ours, strict=False):
            found[(colours == list(bytes.fromhex(one[1:]))).all(axis=-1)] = other
        return Image.fromarray(found)

    for number, (split, tile) in enumerate([("train", 1), ("train", 2), ("train", 3), ("valid", 4)]):
        place = real_data / "dubai" / f"Tile {tile}"
        for part in (1, 2):
            goal = tmp_path / "data" / split / f"{10 * number + part}"
            cut(place / f"images/image_part_00{part}.jpg", goal.with_name(f"{goal.name}_sat.jpg"))
            cut(place / f"masks/image_part_00{part}.png", goal.with_name(f"{goal.name}_mask.png"), recoloured)
    config, summary = carried_out(
        "deepglobe-trm",
        tmp_path,
        "data.patch={size: 32, stride: 32}",
        "model.width=8",
        "model.t_max=3",
        "predict.window=32",
    )
    require_whole(config, summary)
    rows = [line.split(",") for line in (config.folder / "log.csv").read_text().splitlines()]
    steps = float(rows[-1][rows[0].index("val_avg_steps")])
    assert 2 <= steps <= 3


def test_dinov3_geotiff_runs_on_cached_features_of_a_random_backbone(real_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    shutil.copytree(real_data / "geotiff_label_raster_tiles", tmp_path / "data")
    for role, number in (("train", 1), ("val", 2)):
        (tmp_path / f"{role}.txt").write_text(f"tiled_image_{number}\n")
    config, summary = carried_out(
        "dinov3-geotiff",
        tmp_path,
        "data.source={images: 'tiled_image_*.tif', labels: 'tiled_label_*.tif'}",
        "data.split.fractions=null",
        f"data.split.lists={{train: '{tmp_path}/train.txt', val: '{tmp_path}/val.txt'}}",
        "data.patch.size=128",
        "model.backbone.size={channels: 16, layers: 4, heads: 2, inner: 32}",
        "model.backbone.taps=[0, 1, 2, 3]",
        "model.head={channels: 16, rank: 8, widths: [4, 8, 8, 16], prior: 4}",
        "prepare.cache_views=[identity, hflip]",
        "prepare.device=cpu",
        "evaluate.splits=[val]",
    )
    require_whole(config, summary)
    assert (config.prepare.folder / FEATURES_FOLDER).is_dir()


def test_folders_smp_runs_with_a_further_band(real_data: Path, tmp_path: Path) -> None:
    tiles = sorted(path.stem for path in (real_data / "zion_rgb_nir_tiles/rgb").iterdir())
    for number, tile in enumerate(tiles):
        split = "val" if number >= 4 else "train"
        for part, ours in (("rgb", "images"), ("nir", "nir"), ("masks", "gt")):
            found = next((real_data / "zion_rgb_nir_tiles" / part).glob(f"{tile}.*"))
            cut(found, tmp_path / "data" / split / ours / found.name)
    config, summary = carried_out(
        "folders-smp",
        tmp_path,
        "data.source={class_list: '1 2', extra: [nir]}",
        "data.patch.size=128",
        "augment.transforms=[{name: resize, height: 64, width: 64}]",
        "model.encoder=resnet18",
        "train.batch_size=3",
    )
    require_whole(config, summary)
    assert summary.bundle is not None
    from terrazzo.bundle import Bundle

    bundle = Bundle.load(summary.bundle)
    assert len(bundle.bands) == 4
    assert bundle.classes.names == ("background", "class_1", "class_2")


def test_cityscapes_hardnet_runs_on_cityscapes_layout(real_data: Path, tmp_path: Path) -> None:
    shutil.copytree(real_data / "cityscapes_layout_camvid", tmp_path / "data")
    config, summary = carried_out("cityscapes-hardnet", tmp_path, "data.patch.size=128", "train.batch_size=2")
    require_whole(config, summary)


def test_camvid_hardnet68_runs_on_camvid(real_data: Path, tmp_path: Path) -> None:
    for split, count in (("train", 4), ("val", 2)):
        for part in (split, f"{split}annot"):
            for path in sorted((real_data / "camvid" / part).glob("*.png"))[:count]:
                cut(path, tmp_path / "data" / part / path.name)
    config, summary = carried_out("camvid-hardnet68", tmp_path)
    require_whole(config, summary)
