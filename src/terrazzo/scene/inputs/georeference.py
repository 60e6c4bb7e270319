"""How a scene says where it lies, beside its grid: what its map must say too."""

from dataclasses import replace

from affine import Affine

from terrazzo.geo.kept_open import opened_header
from terrazzo.scene.inputs.addresses import remote_access
from terrazzo.scene.inputs.entry import SceneEntry
from terrazzo.scene.layer import NOWHERE, Georeference

__all__ = ["scene_georeference"]


def scene_georeference(entry: SceneEntry) -> Georeference:
    """Return it for any scene: of one file all that the file says; of others their grid says all.

    Control points and sensor models belong to the pixels of one file, and not to another grid made from them.
    """
    if not entry.own_grid:
        placed = entry.grid.crs is not None or entry.grid.transform != Affine.identity()
        return replace(NOWHERE, present=placed)
    # That there is none is an answer here.
    with remote_access(), opened_header(entry.parts[0].files[0]) as source:
        gcps, gcps_crs = source.gcps
        said = bool(source.crs or gcps or source.rpcs or source.transform != Affine.identity())
        return Georeference(tuple(gcps), gcps_crs, source.rpcs, said)
