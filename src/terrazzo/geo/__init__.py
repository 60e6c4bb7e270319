"""Where pixels lie and what they hold: grids, bands, rasters, shapes; numpy and rasterio, no torch."""

import warnings

from rasterio.errors import NotGeoreferencedWarning

# A photograph has no georeference; `Grid.crs is None` says so. rasterio warns at every opening, and a filter around
# each would not do: filters belong to the whole process, and any library's in another thread puts back older ones.
warnings.simplefilter("ignore", NotGeoreferencedWarning)
