"""The verb `demo`: make a landscape, learn it, measure the model on an unseen part and map that."""

import json
import time
from pathlib import Path

import numpy as np

from terrazzo.config import load_config
from terrazzo.data.classes import Classes
from terrazzo.data.pictures.picture import colour_target, panel, true_colour, write_png
from terrazzo.data.synthetic.scenes import write_landscape
from terrazzo.geo.raster import RasterFile
from terrazzo.phases.run import run
from terrazzo.phases.summary import DemoSummary
from terrazzo.progress import Listener, Progress, silent
from terrazzo.report import write_report

__all__ = ["demo"]

UNSEEN = "test_0.tif"
"""The scene that the model is judged on and that is mapped."""


def demo(out: Path = Path("demo"), *, seed: int = 0, listener: Listener = silent) -> DemoSummary:
    """Make a synthetic landscape, train on two parts of it, and map a part that was used for nothing before.

    It runs the shipped recipe `demo` and can be stopped and called again like any run.

    Args:
        out: Folder for everything that the demo makes.
        seed: Another seed is another landscape and another model.
        listener: Receives progress.

    Returns:
        Paths of map, picture and report, and the mIoU on the unseen scene; also `summary.json` in `out`.

    Raises:
        StorageError: The folder cannot be written.
    """
    begun = time.monotonic()
    data = out / "data"
    with Progress("draw the landscape", listener=listener):
        write_landscape(data, seed=seed)
    scene = data / "images" / UNSEEN
    config = load_config(
        "demo",
        f"seed={seed}",
        f"paths.data={json.dumps(str(data))}",
        f"paths.prepared={json.dumps(str(out / 'prepared'))}",
        f"paths.runs={json.dumps(str(out / 'runs'))}",
        "predict.enable=true",
        f"predict.inputs={json.dumps([str(scene)])}",
    )
    done = run(config, listener=listener)
    picture = config.folder / "predict" / "overview.png"
    _draw(scene, data / "gt" / UNSEEN, done.maps[0], classes=config.data.classes, picture=picture)
    summary = DemoSummary(
        folder=out,
        seconds=time.monotonic() - begun,
        map=done.maps[0],
        picture=picture,
        report=write_report(config.folder),
        bundle=config.folder / "bundle.safetensors",
        miou=done.miou["test"],
    )
    summary.save()
    return summary


def _draw(scene: Path, label: Path, mapped: Path, *, classes: Classes, picture: Path) -> None:
    """Write scene, label and map side by side."""
    with RasterFile(scene) as image, RasterFile(label) as drawn, RasterFile(mapped) as answered:
        raster = image.read()
        targets = [np.where(part.valid, part.values[0], classes.ignore) for part in (drawn.read(), answered.read())]
    views = [true_colour(raster.values, raster.valid), *(colour_target(target, classes) for target in targets)]
    write_png(picture, panel(views))
