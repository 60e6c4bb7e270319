"""How a scene becomes a map."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from terrazzo.data.features.names import View
from terrazzo.record import Record

__all__ = ["Blend", "LayerName", "PolygonSettings", "PredictSettings", "Values"]

Blend = Literal["probabilities", "logits"]
LayerName = Literal["confidence", "entropy", "margin", "probabilities", "steps", "disagreement", "abstain", "sets"]
Values = Literal["index", "source", "colour"]


class PolygonSettings(Record):
    """How the map's areas become polygons."""

    format: Literal["gpkg", "parquet"] = "gpkg"
    """GeoPackage, or GeoParquet."""
    smallest_pixels: Annotated[int, Field(ge=0)] = 0
    """Areas of fewer pixels join the neighbour with which they share the longest border; 0 keeps all."""
    simplify: Annotated[float, Field(ge=0)] = 0.0
    """Pixels by which a border may be moved to need fewer corners; shared borders stay shared, 0 keeps every step."""
    classes: tuple[str, ...] = ()
    """Names of the classes whose areas are written; all if empty."""


class PredictSettings(Record):
    """How scenes become maps."""

    enable: bool = False
    """Whether `terrazzo run` maps scenes after training."""
    inputs: tuple[str, ...] = ()
    """Scenes: files, folders, or patterns such as `scenes/**/*.tif`; addresses that GDAL opens (https, s3) too."""
    out: Path | None = None
    """Folder of the maps, or the one map's file (.tif or .png); `predict/` in the run folder if not given."""
    backbone: Path | None = None
    """File or folder of the frozen weights that a bundle leans on; where its training found them if not given."""

    mosaic: Literal["first", "last"] | None = None
    """Makes all inputs one scene; where files overlap the first given, or the last, is seen."""
    area: Path | None = None
    """Vector file of areas of interest: elsewhere the map is nodata, and windows that touch none are not computed."""
    bands: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """Positions of the model's bands among the scene's, from 1, transparency not counted; matched by name, else by
    order, if not given."""
    resolution: Literal["warn", "resample", "refuse"] = "warn"
    """What happens to a scene whose pixels are more than a quarter larger or smaller than the training's: it is mapped
    as it is with a warning, resampled to the training's ground sample distance, or refused."""
    drift: Literal["warn", "refuse", "ignore"] = "warn"
    """What happens to a scene whose band values lie elsewhere than the training's."""
    largest_drift: Annotated[float, Field(gt=0)] = 0.75
    """Drift of a band above which `drift` acts: how far the scene's quantiles leave the training's range, in units of
    the training's standard deviation."""

    window: Annotated[int, Field(ge=1)] | None = None
    """Side of a window in pixels; the training patch's if not given."""
    overlap: Annotated[float, Field(ge=0, le=0.5)] | None = None
    """Least share of a window that it has in common with the next; 1/8 where neither this nor `stride` is given."""
    stride: Annotated[int, Field(ge=1)] | None = None
    """Largest step between windows in pixels, at least half a window; instead of `overlap`."""
    margin: Annotated[int, Field(ge=0)] = 0
    """Pixels of context around each window that the network sees and the map does not use."""
    blend: Blend = "probabilities"
    """What is averaged where windows overlap; probabilities stay calibrated, logits are sharper."""
    views: Annotated[tuple[View, ...], Field(min_length=1)] = ("identity",)
    """Views of each window whose answers are averaged: flips, quarter turns (anti-clockwise), transpositions."""
    scales: Annotated[tuple[Annotated[float, Field(gt=0, le=8)], ...], Field(min_length=1)] = (1.0,)
    """Scales at which each view is seen; 0.5 shows the network half as many pixels a side."""

    calibrated: bool = True
    """Whether what `terrazzo calibrate` wrote into the bundle is applied: temperatures and thresholds."""
    tau: Annotated[float, Field(ge=0, le=1)] | None = None
    """Threshold at which a network that answers in steps is done with a window; the calibrated one, else that of the
    training, if not given. 1 never stops early."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Most steps of such a network; the bundle's if not given."""

    precision: Literal["auto", "float32", "bfloat16", "float16"] | None = None
    """Arithmetic of the network; `machine.precision` if not given. What auto chooses is compared with float32 on the
    scene's first windows."""
    least_agreement: Annotated[float, Field(ge=0, le=1)] = 0.99
    """Share of pixels whose class must be float32's, or auto falls back to float32."""
    largest_difference: Annotated[float, Field(gt=0)] = 0.25
    """Largest difference of a probability from float32's, or auto falls back to float32."""
    compile: bool | Literal["auto"] = "auto"
    """Whether the network is compiled; auto does so on a GPU where the scene is large enough to win back the time."""
    cuda_graphs: bool | Literal["auto"] = "auto"
    """Whether the network's passes are recorded as CUDA graphs: the same bits, sooner where a batch is so small that
    launching its kernels takes longer than they do; auto does so on a GPU with such batches."""
    fuse: bool = True
    """Whether batch norms are taken into the convolutions before them: the same answers but for rounding, sooner."""
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Windows that the network sees at once; auto takes what the device is fastest with and memory allows."""
    memory_gib: Annotated[float, Field(gt=0)] | None = None
    """Most memory of the host in GiB that the plan may take, the network included; all that is free if not given."""
    strip_pixels: Annotated[int, Field(ge=1)] = 2048
    """Rows of a strip, rounded to whole windows: what is durable at once, and what one worker takes."""
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Processes that share a scene; auto is one a device. The map never depends on it."""
    executor: Literal["local", "ray"] = "local"
    """Where the workers run: on this machine, or on a Ray cluster whose machines share the storage."""
    retries: Annotated[int, Field(ge=0)] = 3
    """How often a failed read or write is tried again, after 1, 2, 4 ... seconds."""
    max_errors: Annotated[int, Field(ge=0)] = 0
    """Blocks of the scene that may stay unreadable: they become nodata and are listed; above this the job stops."""

    values: Values = "index"
    """What the map holds: class numbers, the classes' raw label values, or red, green, blue, alpha."""
    layers: tuple[LayerName, ...] = ()
    """What else is written, as `NAME_confidence` and so on: the largest class probability, the entropy of the
    probabilities over its maximum, the margin between the two largest, each in steps of 1/254; every class's
    probability, a band each; the steps that the network took, in tenths; the share of an ensemble's members that chose
    another class; of a calibrated bundle where the map abstains (1) and the set of classes that a pixel may have (bit k
    for class k)."""
    probability_type: Literal["uint8", "float16"] = "uint8"
    """How probabilities are stored: in steps of 1/254 with 255 for nodata, or as half-precision numbers."""
    compression: Literal["zstd", "deflate"] = "zstd"
    """Compression of GeoTIFF maps; zstd is written in two thirds of the time, deflate is read by older programs too."""
    overviews: bool = True
    """Whether a GeoTIFF map is cloud-optimised: with overviews by the most frequent class, laid out to be read by
    parts."""
    quick_look: Annotated[int, Field(ge=0)] = 1024
    """Longest side in pixels of the coloured picture beside the map, `NAME_quicklook.png`; 0 for none."""
    stac: bool = True
    """Whether a STAC item lies beside a georeferenced map."""
    polygons: PolygonSettings | None = None
    """Also write the map's areas as polygons."""
    report: bool = True
    """Whether a page of the map's quality lies beside it, `NAME_report.html`."""
    force: bool = False
    """Map anew what is finished; otherwise a whole map of the same model, settings and pixels is kept."""

    @model_validator(mode="after")
    def _consistent(self) -> "PredictSettings":
        if self.overlap is not None and self.stride is not None:
            raise ValueError("give `overlap` or `stride`, not both")
        for name in ("views", "scales", "layers"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ValueError(f"`{name}` names one twice")
        return self
