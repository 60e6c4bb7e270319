"""What is decided once for a scene, so that every worker and every later start computes the same bits."""

from typing import Annotated, Literal

from pydantic import Field

from terrazzo.record import Record
from terrazzo.storage import fingerprint

__all__ = ["Decisions", "Header", "Request"]


class Request(Record):
    """What was asked: of an earlier start only that counts which was asked the same."""

    weights: str
    """Fingerprint of the bundle: weights, architecture, bands, classes, normalisation."""
    code: str
    """Fingerprint of the code and of the packages that decide the bits."""
    settings: str
    """Fingerprint of the settings that decide the bits."""
    scene: str
    """Fingerprint of the scene's grid, bands and of how its files lie; not of its pixels."""
    device: str
    """Kind of device and its name: "cpu Intel Xeon ...", "cuda NVIDIA H100"."""


class Decisions(Record):
    """What the probe chose."""

    device: Literal["cpu", "cuda", "mps"]
    """Kind of device."""
    precision: Literal["float32", "bfloat16", "float16"]
    """Arithmetic of the network."""
    compiled: bool
    """Whether the network is compiled."""
    recorded: bool = False
    """Whether its passes are recorded as CUDA graphs."""
    threads: Annotated[int, Field(ge=1)]
    """Threads of arithmetic of one forward pass."""
    batch_size: Annotated[int, Field(ge=1)]
    """Windows that the network sees at once."""
    group_size: Annotated[int, Field(ge=1)]
    """Windows that are dealt together, a multiple of the batch; more than a batch where windows stop by themselves."""
    strip_pixels: Annotated[int, Field(ge=1)]
    """Rows of a strip."""

    @property
    def computing(self) -> str:
        """How the network computes, in words: "float16, CUDA graphs"."""
        return self.precision + ", compiled" * self.compiled + ", CUDA graphs" * self.recorded


class Header(Record):
    """The head of a journal."""

    format: Literal[1] = 1
    """Number of the journal's format."""
    request: Request
    """What was asked."""
    decisions: Decisions
    """What was decided."""

    @property
    def key(self) -> str:
        """SHA-256 of all of it; part of every strip's key."""
        return fingerprint(self.model_dump(mode="json"))
