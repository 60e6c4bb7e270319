"""`terrazzo calibrate`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from terrazzo.cli.options import AsJson, Backbone, Configuration, Debug, Model, load
from terrazzo.cli.session import Session

__all__ = ["calibrate"]


class Temperature(StrEnum):
    """Kinds of temperature."""

    AUTO = "auto"
    NONE = "none"
    SCALAR = "scalar"
    VECTOR = "vector"
    STEP = "step"
    LOCAL = "local"


class Loss(StrEnum):
    """What an image loses where windows stop early."""

    ERROR = "error"
    DISAGREEMENT = "disagreement"
    IOU = "iou"
    BRIER = "brier"


class Method(StrEnum):
    """How the halting threshold is chosen."""

    WSR = "wsr"
    LTT = "ltt"
    CRC = "crc"
    QUANTILE = "quantile"


class Decision(StrEnum):
    """Figures that a decision threshold makes largest."""

    F1 = "f1"
    IOU = "iou"


def calibrate(
    model: Model,
    configuration: Configuration = None,
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Images and labels, or prepared data, to calibrate on instead of the configuration's.",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="Split role to calibrate on (calibrate.split).")
    ] = None,
    allow_selected: Annotated[
        bool, typer.Option("--allow-selected", help="Accept train or val images; nothing is promised then.")
    ] = False,
    report_split: Annotated[
        str | None, typer.Option(metavar="NAME", help="Split role that before and after are measured on.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The new bundle; NAME-calibrated.safetensors beside the old if not given."),
    ] = None,
    temperature: Annotated[
        Temperature | None, typer.Option(help="Kind of temperature (calibrate.temperature).")
    ] = None,
    epsilon: Annotated[
        float | None, typer.Option(help="Risk of stopping early that is allowed (calibrate.halting.epsilon).")
    ] = None,
    delta: Annotated[
        float | None, typer.Option(help="Probability with which the promise may fail (calibrate.halting.delta).")
    ] = None,
    loss: Annotated[
        Loss | None, typer.Option(help="What an image loses by stopping early (calibrate.halting.loss).")
    ] = None,
    method: Annotated[
        Method | None, typer.Option(help="How the threshold is chosen; quantile promises nothing.")
    ] = None,
    bound: Annotated[
        float | None, typer.Option(help="B, at which losses are clipped; declared first (calibrate.halting.bound).")
    ] = None,
    decision: Annotated[
        Decision | None, typer.Option(help="Choose the threshold between two classes by this figure.")
    ] = None,
    abstain: Annotated[
        float | None,
        typer.Option(metavar="EPSILON", help="Choose where maps abstain, so that no more of what they keep is wrong."),
    ] = None,
    sets: Annotated[
        float | None,
        typer.Option(metavar="ALPHA", help="Choose class sets that miss no more of the pixels' classes."),
    ] = None,
    unlabelled: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCENES",
            help="Choose the halting threshold by disagreement on scenes without labels: files, folders or patterns; "
            "may be given again.",
        ),
    ] = None,
    backbone: Backbone = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write a new bundle that says how far it can be believed.

    Temperatures, and thresholds with a promise, from images that neither trained nor chose the model. Without a
    configuration, that of the run folder is used.
    """
    with Session("calibrate", as_json=as_json, debug=debug) as session:
        from terrazzo.calibration.settings import CalibrateSettings
        from terrazzo.cli.settings import changed
        from terrazzo.phases.calibrate import calibrate as calibrate_model
        from terrazzo.phases.model_files import ModelFiles, run_config_of

        config = load(configuration, folder=ModelFiles(model).folder) if configuration else run_config_of(model)
        before = config.calibrate if config else CalibrateSettings()
        options: dict[str, object] = {
            "split": split,
            "allow_selected": allow_selected or None,
            "report_split": report_split,
            "temperature": temperature and temperature.value,
            "decision": decision and decision.value,
            "abstain": abstain,
            "sets": sets,
            "unlabelled": unlabelled or None,
        }
        halting: dict[str, object] = {
            "epsilon": epsilon,
            "delta": delta,
            "loss": loss and loss.value,
            "method": method and method.value,
            "bound": bound,
        }
        given = {name: value for name, value in options.items() if value is not None}
        if asked := {name: value for name, value in halting.items() if value is not None}:
            given["halting"] = {**(before.halting.model_dump() if before.halting else {}), **asked}
        session.finish(
            calibrate_model(
                ModelFiles(model, backbone),
                config,
                data=data,
                out=out,
                settings=changed(before, "calibrate", {"calibrate": given}),
                listener=session.listener,
            )
        )
