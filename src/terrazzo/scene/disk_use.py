"""Room on the disk that a job needs until its map is complete."""

from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import Products
from terrazzo.scene.settings import PredictSettings

__all__ = ["disk_bytes"]

# Shares of their bytes that layers take once they are compressed: classes measured 0.19 on 12000 x 12000 pixels of a
# land cover map by deflate, shares of 1/254 nearly all.
_COMPRESSED = {"class": 0.25, "steps": 0.25}
# Overviews add a half, a quarter ... of each side.
_WITH_OVERVIEWS = 4 / 3


def disk_bytes(plan: ScenePlan, products: Products, settings: PredictSettings, *, suffix: str) -> tuple[int, int]:
    """Return the bytes of strips, and of scratch files and maps, which lie beside each other until the map is complete.

    Strips are not compressed, so that theirs are exact; the others are expected.

    Args:
        plan: How the scene is cut.
        products: What is decided.
        settings: Whether there are overviews.
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
    return strips, int(maps * copies)
