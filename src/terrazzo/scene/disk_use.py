"""Room on the disk that a job needs until its map is complete."""

from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import Products
from terrazzo.scene.settings import PredictSettings

__all__ = ["disk_bytes"]

# Shares of their bytes that layers take once they are compressed: classes measured 0.19 on 12000 x 12000 pixels of a
# land cover map by deflate, shares of 1/254 nearly all.
_COMPRESSED = {"class": 0.25, "steps": 0.25}
# Bytes of polygons for each pixel of the map: between 0.1 and 13 (GeoParquet 0.01 and 1.5) were measured, on labels of
# buildings and roads and on a national land cover map, whose areas are mostly single pixels.
_POLYGONS = {"gpkg": 2.0, "parquet": 0.25}
# Overviews add a half, a quarter ... of each side.
_WITH_OVERVIEWS = 4 / 3


def disk_bytes(plan: ScenePlan, products: Products, settings: PredictSettings, *, suffix: str) -> tuple[int, int]:
    """Return the bytes of strips, and of scratch files, maps and polygons: all lie beside each other until the end.

    Strips are not compressed, so that theirs are exact; the others are expected.

    Args:
        plan: How the scene is cut.
        products: What is decided.
        settings: Whether there are overviews and polygons.
        suffix: Of the map's file.
    """
    pixels = plan.grid.height * plan.grid.width
    seams = sum((strip.above.stop - strip.above.start) * plan.grid.width for strip in plan.strips)
    # Both strips at a seam keep their share of its scores and where it was measured; its products come later.
    strips = (pixels - seams) * products.pixel_bytes + 2 * seams * (products.channels * 4 + 1)
    maps = sum(
        pixels * product.channels * product.dtype.itemsize * _COMPRESSED.get(product.name, 1.0) for product in products
    )
    # A cloud-optimised map is made by copy: scratch files hold the same pixels.
    copies = 2 * _WITH_OVERVIEWS if settings.overviews and suffix.lower() != ".png" else 1.0
    polygons = pixels * _POLYGONS[settings.polygons.format] if settings.polygons else 0.0
    return strips, int(maps * copies + polygons)
