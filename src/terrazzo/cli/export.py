"""`terrazzo export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from terrazzo.cli.options import AsJson, Backbone, Debug, Model
from terrazzo.cli.session import Session

__all__ = ["export"]


class Format(StrEnum):
    """File formats."""

    ONNX = "onnx"
    TORCH_EXPORT = "torch_export"


class Precision(StrEnum):
    """Arithmetic of the network."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


class Place(StrEnum):
    """Whether something is part of the graph."""

    INSIDE = "inside"
    DESCRIBED = "described"


class Steps(StrEnum):
    """How a network that answers in steps runs them."""

    STOPPING = "stopping"
    FIXED = "fixed"


def export(
    model: Model,
    *,
    format: Annotated[Format, typer.Option(help="What to write.")] = Format.ONNX,  # noqa: A002 - the option's name
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The file; beside the bundle if not given.")] = None,
    opset: Annotated[
        int | None, typer.Option(min=18, max=24, help="Version of ONNX's operators; 20 if not given.")
    ] = None,
    precision: Annotated[Precision, typer.Option(help="Arithmetic inside; answers stay float32.")] = Precision.FLOAT32,
    preprocessing: Annotated[
        Place, typer.Option(help="Whether the file takes raw values, or normalised ones as its metadata describes.")
    ] = Place.INSIDE,
    temperature: Annotated[
        Place, typer.Option(help="Whether the file's probabilities are calibrated, where the bundle is.")
    ] = Place.INSIDE,
    steps: Annotated[
        Steps, typer.Option(help="Of a network in steps: images stop by themselves, or all run every step.")
    ] = Steps.STOPPING,
    verify_on: Annotated[
        list[str] | None,
        typer.Option(metavar="IMAGE", help="Image, folder or pattern to compare answers on; may be given again."),
    ] = None,
    largest_difference: Annotated[
        float | None, typer.Option(help="Largest difference of a logit that is taken; 0.001, with float16 0.25.")
    ] = None,
    least_agreement: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Least share of pixels of the same class; 0.999, with float16 0.99."),
    ] = None,
    external_data: Annotated[
        bool, typer.Option("--external-data", help="Keep weights in a second file; above 2 GB they always are.")
    ] = False,
    backbone: Backbone = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Export a bundle to ONNX or torch.export.

    The file takes images of any height, width and batch. Its answers are compared with the bundle's at four sizes, on
    the run's own data unless images are named; where they differ, nothing is kept. An ONNX file is taken wherever a
    bundle is: by predict, evaluate and serve.
    """
    with Session("export", as_json=as_json, debug=debug) as session:
        from terrazzo.cli.settings import changed
        from terrazzo.export.settings import ExportSettings
        from terrazzo.phases.export import export as write
        from terrazzo.phases.model_files import ModelFiles

        given = {
            "format": format.value,
            "opset": opset,
            "precision": precision.value,
            "preprocessing": preprocessing.value,
            "temperature": temperature.value,
            "steps": steps.value,
            "largest_difference": largest_difference,
            "least_agreement": least_agreement,
            "external_data": external_data,
        }
        settings = changed(ExportSettings(), "export", {"export": given})
        files = ModelFiles(model, backbone)
        session.finish(write(files, out, settings=settings, verify_on=verify_on or (), listener=session.listener))
