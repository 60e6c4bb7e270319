"""Kinds of areas, one file each."""
