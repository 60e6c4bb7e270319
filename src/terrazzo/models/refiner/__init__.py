"""Refiners: networks that run one small shared net again and again, and stop where it no longer helps."""
