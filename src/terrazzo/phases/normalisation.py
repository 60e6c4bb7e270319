"""What a network is to see: the mean and deviation that its pretrained weights expect."""

from terrazzo.data.normalisation import Normalisation
from terrazzo.data.prepared import Prepared
from terrazzo.models.architecture import Architecture

__all__ = ["expected_normalisation"]


def expected_normalisation(architecture: Architecture, prepared: Prepared) -> Normalisation | None:
    """Return the mean and deviation that pretrained weights expect, or None where the data's own serve.

    Published values belong to 8-bit imagery, where 1.0 is 255. For other types the data's own statistics give the
    weights what they expect, values of mean 0 and deviation 1.
    """
    pretraining = architecture.pretraining(bands=len(prepared.bands))
    if pretraining is None or any(band.dtype != "uint8" for band in prepared.bands):
        return None
    return Normalisation(
        mean=tuple(255 * value for value in pretraining.mean), std=tuple(255 * value for value in pretraining.std)
    )
