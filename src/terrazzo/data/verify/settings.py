"""What is looked for in a data set, and from where on it is worth a word."""

from typing import Annotated, Literal

from pydantic import Field

from terrazzo.data.verify.finding import CheckName
from terrazzo.record import Record

__all__ = ["Look", "VerifySettings"]

Look = Literal["files", "shifts", "duplicates", "places", "classes", "drift", "store", "features"]


class VerifySettings(Record):
    """How a data set is verified."""

    enable: bool = True
    """Verify as the first phase of `run`; data that has not changed since is not read again."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that decode; 0 takes as many as there are cores, eight at most. Findings never depend on it."""
    checks: tuple[Look, ...] = ("files", "shifts", "duplicates", "places", "classes", "drift", "store", "features")
    """What is looked for: damaged and unfit files and labels; shifted labels; pictures that come twice; footprints and
    distances of splits; classes that a split lacks; bands that differ between splits; the patch store; the feature
    cache."""
    accept: tuple[CheckName, ...] = ()
    """Kinds of findings, such as "duplicate" or "overlap", whose errors only warn, since you know about them."""
    shift_px: Annotated[float, Field(gt=0)] = 3.0
    """Pixels from which on a shift between a label's edges and its image's is told."""
    duplicate_bits: Annotated[int, Field(ge=0, le=16)] = 8
    """Bits of 63 by which the perceptual hashes of two near-duplicates may differ."""
    duplicate_correlation: Annotated[float, Field(gt=0, le=1)] = 0.995
    """Least correlation of two near-duplicates, each reduced to 32 x 32 pixels."""
    overlap_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of the smaller footprint from which on an overlap across splits is an error."""
    distance_m: Annotated[float, Field(ge=0)] = 0.0
    """Metres that splits should be apart; splits that are nearer are warned of."""
    drift_deviations: Annotated[float, Field(gt=0)] = 1.0
    """Difference of a band's means between two splits that is told, in pooled standard deviations of its pixels."""
