"""Rasters, labels and samples as pictures and files to look at."""
