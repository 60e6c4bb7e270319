"""`terrazzo evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terrazzo.cli.options import AsJson, Backbone, Configuration, Debug, Model, load
from terrazzo.cli.session import Session
from terrazzo.errors import ConfigError

if TYPE_CHECKING:
    from terrazzo.training.settings import EvaluateSettings

__all__ = ["evaluate", "evaluation_settings"]


def evaluate(
    model: Model,
    configuration: Configuration = None,
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Images and labels, or prepared data, to judge on instead of the configuration's."
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Split role to judge on; give it several times, or `all`, for several."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the result is called under evaluate/; the split's name.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the results.")] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Judge only the first N images (evaluate.limit).")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Of two classes, the probability from which on the second is chosen; of more, the confidence below "
            "which plots are grey (evaluate.threshold).",
        ),
    ] = None,
    plots: Annotated[
        bool, typer.Option("--plots", help="Draw each image: image | label | output | error (evaluate.plots).")
    ] = False,
    plots_only: Annotated[bool, typer.Option("--plots-only", help="Draw each image, and write no scores.")] = False,
    show: Annotated[
        str | None, typer.Option(metavar="IMAGE", help="Draw this one image, and say where the picture lies.")
    ] = None,
    masks: Annotated[
        bool, typer.Option("--masks", help="Write each image's predicted classes, with a palette (evaluate.masks).")
    ] = False,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities", help="Write each image's probabilities, a band each class (evaluate.probabilities)."
        ),
    ] = False,
    metrics_only: Annotated[
        bool, typer.Option("--metrics-only", help="Write scores and tables, no picture and no raster.")
    ] = False,
    backbone: Backbone = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Measure how well a model does on images.

    Whole images are judged through the engine that makes maps, every labelled pixel exactly once
    (evaluate.on=patches judges the patches of training). Without a configuration, that of the run folder is used.
    """
    with Session("evaluate", as_json=as_json, debug=debug) as session:
        from terrazzo.phases.evaluate import evaluate as evaluate_model
        from terrazzo.phases.evaluate import evaluate_splits
        from terrazzo.phases.model_files import ModelFiles, run_config_of
        from terrazzo.training.settings import EvaluateSettings

        config = load(configuration, folder=model) if configuration else None
        files = ModelFiles(model, backbone)
        own = config or run_config_of(model)
        settings = evaluation_settings(
            own.evaluate if own else EvaluateSettings(),
            limit=limit,
            threshold=threshold,
            plots=plots,
            plots_only=plots_only,
            masks=masks,
            probabilities=probabilities,
            metrics_only=metrics_only,
        )
        if show is not None and (metrics_only or name is not None):
            raise ConfigError("--show draws one image and writes no scores; leave out --metrics-only and --name.")
        several = split is not None and (len(split) > 1 or "all" in split)
        if several and show is None and split is not None:
            session.finish(
                evaluate_splits(
                    files,
                    config,
                    splits=split,
                    data=data,
                    name=name,
                    out=out,
                    settings=settings,
                    listener=session.listener,
                )
            )
            return
        if several:
            raise ConfigError("--show looks in all splits, or in the one that --split names.")
        session.finish(
            evaluate_model(
                files,
                config,
                data=data,
                split=split[0] if split else None,
                name=name,
                out=out,
                show=show,
                settings=settings,
                listener=session.listener,
            )
        )


def evaluation_settings(
    before: "EvaluateSettings",
    *,
    limit: int | None = None,
    threshold: float | None = None,
    plots: bool = False,
    plots_only: bool = False,
    masks: bool = False,
    probabilities: bool = False,
    metrics_only: bool = False,
) -> "EvaluateSettings":
    """Return settings with what options say laid over them.

    Args:
        before: The configuration's.
        limit: As of the option; None leaves what was set.
        threshold: Likewise.
        plots: Whether to draw each image; False leaves what was set.
        plots_only: Whether to do nothing else.
        masks: Whether to write predicted classes; False leaves what was set.
        probabilities: Whether to write probabilities; likewise.
        metrics_only: Whether to draw and write nothing but scores.

    Raises:
        ConfigError: Options contradict each other, or the settings.
    """
    from terrazzo.cli.settings import changed

    drawing = {"--plots": plots, "--plots-only": plots_only, "--masks": masks, "--probabilities": probabilities}
    asked = [option for option, given in drawing.items() if given]
    if metrics_only and asked:
        raise ConfigError(f"--metrics-only and {asked[0]} contradict each other; leave one out.")
    given: dict[str, object] = {}
    if plots or plots_only:
        given["plots"] = True
    if masks:
        given["masks"] = True
    if probabilities:
        given["probabilities"] = True
    if plots_only:
        given |= {"scores": False, "masks": masks, "probabilities": probabilities}
    if metrics_only:
        given |= {"scores": True, "plots": False, "masks": False, "probabilities": False, "worst_samples": 0}
    if limit is not None:
        given["limit"] = limit
    if threshold is not None:
        given["threshold"] = threshold
    return changed(before, "evaluate", {"evaluate": given})
