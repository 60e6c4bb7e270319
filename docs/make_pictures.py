"""Draws the README's picture from a finished demo: scene, label and map of the same part of the unseen landscape.

python docs/make_pictures.py DEMO_FOLDER
"""

import argparse
from pathlib import Path

import numpy as np

from terrazzo.config import load_config
from terrazzo.data.pictures.picture import colour_target, panel, true_colour, write_png
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import RasterFile

PART = Window(y=200, x=200, height=440, width=440)
"""A part with all six classes, at the picture's own size."""
GOAL = Path(__file__).parent / "images" / "demo.png"


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder that `terrazzo demo` has filled")
    folder = parser.parse_args().folder
    classes = load_config("demo").data.classes
    files = [folder / "data" / kind / "test_0.tif" for kind in ("images", "gt")]
    files.append(folder / "runs" / "demo" / "predict" / "test_0.tif")
    rasters = []
    for path in files:
        with RasterFile(path) as source:
            rasters.append(source.read(PART))
    image, *labels = rasters
    targets = [np.where(label.valid, label.values[0], classes.ignore) for label in labels]
    views = [true_colour(image.values, image.valid), *(colour_target(target, classes) for target in targets)]
    write_png(GOAL, panel(views, gap=8))


if __name__ == "__main__":
    main()
