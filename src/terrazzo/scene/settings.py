"""How a scene becomes a map."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from terrazzo.record import Record

__all__ = ["Blend", "PredictSettings", "Values"]

Blend = Literal["probabilities", "logits"]
Values = Literal["index", "source", "colour"]


class PredictSettings(Record):
    """How scenes become maps."""

    enable: bool = False
    """Whether `terrazzo run` maps scenes after training."""
    inputs: tuple[str, ...] = ()
    """Scenes: files, folders, or patterns such as `scenes/**/*.tif`."""
    out: Path | None = None
    """Folder of the maps, or the one map's file (.tif or .png); `predict/` in the run folder if not given."""
    backbone: Path | None = None
    """File or folder of the frozen weights that a bundle leans on; where its training found them if not given."""
    window: Annotated[int, Field(ge=1)] | None = None
    """Side of a window in pixels; the training patch's if not given."""
    overlap: Annotated[float, Field(ge=0, le=0.5)] | None = None
    """Least share of a window that it has in common with the next; 1/8 where neither this nor `stride` is given."""
    stride: Annotated[int, Field(ge=1)] | None = None
    """Largest step between windows in pixels, at least half a window; instead of `overlap`."""
    margin: Annotated[int, Field(ge=0)] = 0
    """Pixels of context around each window that the network sees and the map does not use."""
    batch_size: Annotated[int, Field(ge=1)] = 4
    """Windows that the network sees at once."""
    fuse: bool = True
    """Whether batch norms are taken into the convolutions before them: the same answers but for rounding, sooner."""
    blend: Blend = "probabilities"
    """What is averaged where windows overlap; probabilities stay calibrated, logits are sharper."""
    values: Values = "index"
    """What the map holds: class numbers, the classes' raw label values, or red, green, blue, alpha."""
    confidence: bool = False
    """Also write the largest class probability, as `NAME_confidence`, in steps of 1/254."""
    compression: Literal["deflate", "zstd"] = "deflate"
    """Compression of GeoTIFF maps; zstd is faster, deflate is read everywhere."""
    bands: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """Positions of the model's bands among the scene's, from 1, transparency not counted; matched by name, else by
    order, if not given."""

    @model_validator(mode="after")
    def _one_step(self) -> "PredictSettings":
        if self.overlap is not None and self.stride is not None:
            raise ValueError("give `overlap` or `stride`, not both")
        return self
