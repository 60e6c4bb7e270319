"""What a Sentinel-2 product says about its raw values: processing baseline, quantification and offsets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from terrazzo.data.sources.plain_xml import read_xml
from terrazzo.errors import DataError

__all__ = ["BAND_NUMBERS", "Radiometry", "read_radiometry"]

BAND_NUMBERS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""Bands in the order of the `band_id` that metadata uses."""


@dataclass(frozen=True)
class Radiometry:
    """How raw values of a product become reflectance, 0..1: (raw + offset) / quantification.

    Attributes:
        quantification: Raw steps of a reflectance of 1.
        offsets: Raw value that is added, by band; bands that are not there have 0.

    Source: European Space Agency, Sentinel-2 Products Specification Document, RADIO_ADD_OFFSET and BOA_ADD_OFFSET.
    """

    quantification: float
    offsets: Mapping[str, float]

    @property
    def scale(self) -> float:
        """Factor from raw value to reflectance."""
        return 1 / self.quantification

    def offset(self, band: str) -> float:
        """Reflectance that is added after scaling: -0.1 from processing baseline 04.00 on, 0 before."""
        return self.offsets.get(band, 0.0) / self.quantification


def read_radiometry(path: Path, *, level: str) -> Radiometry:
    """Read a product's metadata file.

    Args:
        path: `MTD_MSIL1C.xml` or `MTD_MSIL2A.xml`, or their older names.
        level: "L1C" or "L2A".

    Raises:
        DataError: It is no such file, or names no quantification value.
    """
    root = read_xml(path)
    surface = level == "L2A"
    quantities = ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE") if surface else ("QUANTIFICATION_VALUE",)
    found = [element for element in root.iter() if _word(element) in quantities]
    if not found:
        raise DataError(f"{path} names no {quantities[0]}; it is no complete metadata of a Sentinel-2 {level} product.")
    quantification = _number(found[0], path)
    if quantification <= 0:
        raise DataError(f"{path}: {quantities[0]} is {quantification:g}, but must be above 0.")
    wanted = "BOA_ADD_OFFSET" if surface else "RADIO_ADD_OFFSET"
    offsets = {_band(element, path): _number(element, path) for element in root.iter() if _word(element) == wanted}
    if not offsets and (baseline := _baseline(root)) is not None and baseline >= (4, 0):
        raise DataError(
            f"{path} is of processing baseline {baseline[0]:02d}.{baseline[1]:02d}, which shifts values, but names no "
            f"{wanted}; download the product again."
        )
    return Radiometry(quantification, offsets)


def _word(element: Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def _number(element: Element, path: Path) -> float:
    try:
        return float(element.text or "")
    except ValueError:
        raise DataError(f'{path}: {_word(element)} is "{element.text}", which is no number.') from None


def _band(element: Element, path: Path) -> str:
    text = element.get("band_id", "")
    if not text.isdecimal() or int(text) >= len(BAND_NUMBERS):
        raise DataError(f'{path}: {_word(element)} names the band_id "{text}"; expected 0 to {len(BAND_NUMBERS) - 1}.')
    return BAND_NUMBERS[int(text)]


def _baseline(root: Element) -> tuple[int, int] | None:
    """Return the processing baseline, such as (4, 0); None where it is not said or is no baseline ("99.99")."""
    for element in root.iter():
        if _word(element) == "PROCESSING_BASELINE":
            parts = (element.text or "").strip().split(".")
            if len(parts) == 2 and all(part.isdecimal() for part in parts) and parts[0] != "99":
                return int(parts[0]), int(parts[1])
    return None
