"""Figures of single images: image | label | output | error."""

import numpy as np
from jaxtyping import UInt8

from terrazzo.assessment.thinned import Thinned, thinned_image
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.pictures.figure import colour_output, enlarged, figure
from terrazzo.data.pictures.picture import colour_errors, colour_target, panel
from terrazzo.geo.bands import Bands

__all__ = ["plain_panel", "plot"]


def plot(
    entry: ImageEntry, thinned: Thinned, *, bands: Bands, classes: Classes, threshold: float, note: str = ""
) -> UInt8[np.ndarray, "y x 3"]:
    """Return the figure of an image.

    What the model is sure of has the colour of its class; below the threshold the output is grey, the darker the less
    probable.

    Args:
        entry: The image.
        thinned: What was answered.
        bands: Its bands in the network's order.
        classes: How labels name classes.
        threshold: Of two classes the probability of the second, of more the confidence, from which on it is coloured.
        note: Figures of the image.

    Raises:
        DataError: The image cannot be read.
    """
    output = colour_output(thinned.number, thinned.share, thinned.answered, classes, threshold=threshold)
    of_two = len(classes) == 2
    what = f"P({classes.names[1]})" if of_two else "confidence"
    wrong = thinned.ignored | ~thinned.answered
    pictures = [
        ("image", thinned_image(entry, bands, step=thinned.step)),
        ("label", colour_target(np.where(thinned.ignored, classes.ignore, thinned.target), classes)),
        (f"output (grey: {what} < {threshold:g})", output),
        ("error", colour_errors(thinned.target, thinned.number, wrong)),
    ]
    shown = [(item.name, item.colour) for item in classes.items]
    hatched = bool(wrong.any())
    return figure(entry.image_id, pictures, shown, note=note, hatched=hatched)


def plain_panel(entry: ImageEntry, thinned: Thinned, *, bands: Bands, classes: Classes) -> UInt8[np.ndarray, "y x 3"]:
    """Return image | label | prediction | error without any words, the prediction in its classes' colours throughout.

    Args:
        entry: The image.
        thinned: What was answered.
        bands: Its bands in the network's order.
        classes: How labels name classes.

    Raises:
        DataError: The image cannot be read.
    """
    target = np.where(thinned.ignored, classes.ignore, thinned.target)
    number = np.where(thinned.answered, thinned.number, classes.ignore)
    wrong = thinned.ignored | ~thinned.answered
    return panel(
        [
            enlarged(thinned_image(entry, bands, step=thinned.step)),
            enlarged(colour_target(target, classes)),
            enlarged(colour_target(number, classes)),
            enlarged(colour_errors(thinned.target, thinned.number, wrong)),
        ]
    )
