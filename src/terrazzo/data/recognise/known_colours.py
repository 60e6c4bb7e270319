"""Colours of labels that are published without a file that says what they mean."""

from collections.abc import Mapping
from dataclasses import dataclass

from terrazzo.data.sources.deepglobe import LAND_COVER

__all__ = ["KNOWN", "KnownColours"]

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class KnownColours:
    """Colours of one data set.

    Attributes:
        title: Name of the data set.
        classes: Colour to class name.
        ignored: Colours without a class.
    """

    title: str
    classes: Mapping[Colour, str]
    ignored: tuple[Colour, ...] = ()


KNOWN = (
    KnownColours(
        "DeepGlobe land cover", {item.colour: item.name for item in LAND_COVER.items}, LAND_COVER.ignore_colours
    ),
    KnownColours(
        "Semantic segmentation of aerial imagery (Dubai)",
        {
            (60, 16, 152): "building",
            (132, 41, 246): "land",
            (110, 193, 228): "road",
            (254, 221, 58): "vegetation",
            (226, 169, 41): "water",
        },
        ((155, 155, 155), (0, 0, 0)),
    ),
    KnownColours(
        "ISPRS Vaihingen and Potsdam",
        {
            (255, 255, 255): "impervious surface",
            (0, 0, 255): "building",
            (0, 255, 255): "low vegetation",
            (0, 255, 0): "tree",
            (255, 255, 0): "car",
            (255, 0, 0): "clutter",
        },
        ((0, 0, 0),),
    ),
)
"""Data sets whose colours are known.

Source: the colours that the masks of the Dubai set hold, by Humans in the
Loop; ISPRS 2D Semantic Labeling Contest, description of the labels.
"""
