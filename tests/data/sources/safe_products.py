"""Tiny Sentinel-2 products in JPEG 2000, as they are unpacked from the archive."""

from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.io import MemoryFile

RESOLUTIONS = {
    "L1C": dict.fromkeys(("B02", "B03", "B04", "B08"), (10,))
    | dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12"), (20,))
    | dict.fromkeys(("B01", "B09", "B10"), (60,)),
    "L2A": dict.fromkeys(("B02", "B03", "B04"), (10, 20, 60))
    | {"B08": (10,)}
    | dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12"), (20, 60))
    | dict.fromkeys(("B01", "B09"), (60,)),
}
SIDE_M = 240
ORDER = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")


def write_jp2(path: Path, values: np.ndarray, resolution: int) -> None:
    """Write one band, losslessly; JPEG 2000 is only ever copied from another raster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "height": len(values), "width": len(values), "count": 1, "dtype": values.dtype}
    transform = Affine(resolution, 0, 500_000, 0, -resolution, 5_000_000)
    with MemoryFile() as memory:
        with memory.open(crs="EPSG:32632", transform=transform, **profile) as file:
            file.write(values, 1)
        with memory.open() as file:
            rasterio.shutil.copy(file, path, driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES", YCBCR420="NO")


def raw(reflectance: float, *, offset: int, resolution: int) -> np.ndarray:
    """Raw values of one reflectance, with a missing first pixel."""
    side = SIDE_M // resolution
    values = np.full((side, side), round(reflectance * 10_000) - offset, dtype=np.uint16)
    values[0, 0] = 0
    return values


def metadata(level: str, baseline: str, offset: int) -> str:
    surface = level == "L2A"
    name = "BOA_ADD_OFFSET" if surface else "RADIO_ADD_OFFSET"
    lines = [f'<{name} band_id="{number}">{offset}</{name}>' for number in range(13)] if offset else []
    quantity = "BOA_QUANTIFICATION_VALUE" if surface else "QUANTIFICATION_VALUE"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><n1:Level_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int">'
        f"<n1:General_Info><Product_Info><PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE></Product_Info>"
        f"<Product_Image_Characteristics>{''.join(lines)}"
        f'<{quantity} unit="none">10000</{quantity}></Product_Image_Characteristics></n1:General_Info>'
        "</n1:Level_User_Product>"
    )


def write_product(
    folder: Path,
    name: str = "S2A_MSIL2A_20220201T102211_N0400_R065_T32TQM_20220201T121150",
    *,
    level: str = "L2A",
    baseline: str = "04.00",
    reflectance: float = 0.25,
    classes: np.ndarray | None = None,
) -> Path:
    """Write a product of today's names; every band holds one reflectance, nothing in the upper left corner."""
    offset = -1000 if baseline >= "04" else 0
    product = folder / f"{name}.SAFE"
    granule = product / "GRANULE" / f"{level}_T32TQM_A034543_20220201T102211" / "IMG_DATA"
    for band, resolutions in RESOLUTIONS[level].items():
        for resolution in resolutions:
            below = f"R{resolution}m/T32TQM_20220201T102211_{band}_{resolution}m.jp2"
            path = granule / (below if level == "L2A" else f"T32TQM_20220201T102211_{band}.jp2")
            write_jp2(path, raw(reflectance, offset=offset, resolution=resolution), resolution)
    if level == "L2A":
        scene = np.full((12, 12), 4, dtype=np.uint8) if classes is None else classes
        write_jp2(granule / "R20m" / "T32TQM_20220201T102211_SCL_20m.jp2", scene, 20)
        write_jp2(granule / "R10m" / "T32TQM_20220201T102211_TCI_10m.jp2", np.zeros((24, 24), dtype=np.uint8), 10)
    (product / f"MTD_MSI{level}.xml").write_text(metadata(level, baseline, offset), encoding="utf-8")
    return product
