"""What is measured, and how often."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from terrazzo.machine import Precision
from terrazzo.record import Record

__all__ = ["ProfileSettings", "Size"]

AtLeastOne = Annotated[int, Field(ge=1)]


def _size(value: object) -> object:
    """Accept 512, "512" and "1024x2048" for (512, 512) and (1024, 2048)."""
    if isinstance(value, int):
        return (value, value)
    if isinstance(value, str):
        parts = value.lower().split("x")
        return tuple(parts * 2 if len(parts) == 1 else parts)
    return value


Size = Annotated[tuple[AtLeastOne, AtLeastOne], BeforeValidator(_size)]
"""Height and width in pixels."""


class ProfileSettings(Record):
    """What is measured: every combination of sizes, batches, steps, precisions and devices.

    >>> ProfileSettings(sizes=(512, "1024x2048")).sizes
    ((512, 512), (1024, 2048))
    """

    sizes: tuple[Size, ...] = ()
    """Images to measure on: a side in pixels, or height and width as 1024x2048; the side of a training patch if empty.
    """
    batch_sizes: Annotated[tuple[AtLeastOne, ...], Field(min_length=1)] = (1,)
    """Images at once."""
    steps: tuple[AtLeastOne, ...] = ()
    """Steps after which a model that refines in steps is made to stop; its least and its largest number if empty."""
    precisions: tuple[Precision, ...] = ()
    """Arithmetic of the network; `machine.precision` if empty."""
    devices: tuple[Literal["auto", "cpu", "cuda", "mps"], ...] = ()
    """Kinds of device; `machine.accelerator` if empty."""
    warmup: AtLeastOne = 3
    """Passes before the clock is started: kernels are chosen and memory is taken then."""
    repeats: AtLeastOne = 20
    """Passes that are timed, each by itself."""
    mean_steps: Annotated[float, Field(ge=1)] | None = None
    """Mean number of steps that images really took, for the saving; what the run's log says if not given."""
    fuse: bool = True
    """Take batch norms into the convolutions before them, as mapping does."""
    bands: AtLeastOne | None = None
    """Input channels, where neither a model file nor a configuration nor prepared data says how many."""
