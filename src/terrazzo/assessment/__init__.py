"""Judging bundles on whole images, mapped by the scene engine as any scene is, and calibrating them there."""
