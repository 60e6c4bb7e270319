"""The model file: a trained network and the contract of its input, enough to map a new scene with nothing else."""

from terrazzo.bundle.bundle import Bundle
from terrazzo.bundle.contract import FORMAT, METADATA_KEY, FrozenBackbone

__all__ = ["FORMAT", "METADATA_KEY", "Bundle", "FrozenBackbone"]
