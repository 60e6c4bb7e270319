"""Grids, bands and rasters: numpy and rasterio, no torch."""
