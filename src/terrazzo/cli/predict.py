"""`terrazzo predict`."""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terrazzo.cli.options import AsJson, Backbone, Debug, Model
from terrazzo.cli.session import Session
from terrazzo.errors import ConfigError

if TYPE_CHECKING:
    from terrazzo.phases.plan import PlanSummary

__all__ = ["parse_memory", "predict", "split_inputs"]

_SETTING = re.compile(r"(predict|machine)\.(\w+)=(.*)", re.DOTALL)
_MEMORY = re.compile(r"([0-9]*\.?[0-9]+)\s*(?:([kmgt])(i?b?))?", re.IGNORECASE)
_GIB = 2**30


class Mosaic(StrEnum):
    """Which file of a mosaic is seen where several overlap."""

    FIRST = "first"
    LAST = "last"


class Polygons(StrEnum):
    """Formats of polygons."""

    GPKG = "gpkg"
    PARQUET = "parquet"


def predict(
    model: Model,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT|KEY=VALUE",
            help='Rasters, SAFE folders, addresses, folders of them, or patterns such as "scenes/**/*.tif" and '
            '"scene/B{band}.tif"; and settings such as predict.window=512 or machine.precision=float32.',
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR|FILE", help="Folder for the maps, or the one map's file.")],
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Print what mapping would take, and stop; status 1 where it cannot fit."),
    ] = False,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Most memory of the host, such as 4GiB (predict.memory_gib).")
    ] = None,
    tau: Annotated[
        float | None, typer.Option(min=0, max=1, help="Threshold at which a window is done with steps (predict.tau).")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Most steps of such a network (predict.steps).")] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that share a scene (predict.workers); one a device if not given."),
    ] = None,
    aoi: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Vector file of the areas that are mapped (predict.area).")
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME",
            help="What else is written: confidence, entropy, margin, probabilities, steps, disagreement, abstain, sets "
            "(predict.layers).",
        ),
    ] = None,
    mosaic: Annotated[
        Mosaic | None,
        typer.Option(
            help="Map all inputs as one scene; the first or the last is seen where they overlap (predict.mosaic)."
        ),
    ] = None,
    max_errors: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Blocks that may stay unreadable and become nodata (predict.max_errors)."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Map finished scenes anew (predict.force); they are kept otherwise.")
    ] = False,
    polygons: Annotated[
        Polygons | None, typer.Option(help="Also write the map's areas as polygons (predict.polygons).")
    ] = None,
    backbone: Backbone = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Map scenes of any size."""
    with Session("predict", as_json=as_json, debug=debug) as session:
        from terrazzo.cli.settings import changed
        from terrazzo.machine import MachineSettings
        from terrazzo.phases.model_files import ModelFiles, run_config_of
        from terrazzo.phases.plan import plan_maps
        from terrazzo.phases.predict import predict as map_scenes
        from terrazzo.scene.settings import PredictSettings

        scenes, given = split_inputs(inputs)
        config = run_config_of(model)
        before = config.predict if config else PredictSettings()
        kept = before.polygons.model_dump() if before.polygons else {}
        options: dict[str, object] = {
            "memory_gib": None if memory is None else parse_memory(memory),
            "tau": tau,
            "steps": steps,
            "workers": workers,
            "area": aoi,
            "layers": None if layers is None else [name for name in layers.split(",") if name],
            "mosaic": None if mosaic is None else mosaic.value,
            "max_errors": max_errors,
            "force": force or None,
            "polygons": None if polygons is None else {**kept, "format": polygons.value},
        }
        _add(given["predict"], options)
        settings = changed(before, "predict", given)
        machine = changed(config.machine if config else MachineSettings(), "machine", given)
        files = ModelFiles(model, backbone)
        if plan:
            _show_plan(
                session, plan_maps(files, scenes, out, settings=settings, machine=machine, listener=session.listener)
            )
        else:
            session.finish(
                map_scenes(files, scenes, out, settings=settings, machine=machine, listener=session.listener)
            )


def split_inputs(arguments: Sequence[str]) -> tuple[list[str], dict[str, dict[str, object]]]:
    """Return the scenes, and the settings given among them by section and key.

    Raises:
        ConfigError: No scene is left.

    >>> split_inputs(["a.tif", "predict.window=512", "machine.precision=float32"])
    (['a.tif'], {'predict': {'window': 512}, 'machine': {'precision': 'float32'}})
    """
    import yaml

    scenes: list[str] = []
    given: dict[str, dict[str, object]] = {"predict": {}, "machine": {}}
    for argument in arguments:
        found = None if Path(argument).exists() else _SETTING.fullmatch(argument)
        if found is None:
            scenes.append(argument)
        else:
            given[found[1]][found[2]] = yaml.safe_load(found[3])
    if not scenes:
        raise ConfigError("No scene is given; name a raster, a folder or a pattern.")
    return scenes, given


def parse_memory(text: str) -> float:
    """Return an amount of memory in GiB.

    Args:
        text: A number with its unit: GiB, GB (10^9 bytes), MiB and so on; G, M and T alone mean GiB, MiB and TiB, as do
            batch systems; a bare number is GiB.

    Raises:
        ConfigError: It is no amount of memory.

    >>> parse_memory("4GiB"), parse_memory("512 MiB"), parse_memory("2g"), parse_memory("1.5")
    (4.0, 0.5, 2.0, 1.5)
    """
    found = _MEMORY.fullmatch(text.strip())
    if found is None or float(found[1]) <= 0:
        raise ConfigError(f'--memory is "{text}", which is no amount of memory; write for example 4GiB or 1500MB.')
    if found[2] is None:
        return float(found[1])
    base = 1000 if found[3].lower() == "b" else 1024
    unit = float(base) ** (1 + "kmgt".index(found[2].lower()))
    return float(found[1]) * unit / _GIB


def _add(given: dict[str, object], options: Mapping[str, object]) -> None:
    """Add what options say to what was given by key; both at once contradict each other."""
    for key, value in options.items():
        if value is None:
            continue
        if key in given:
            raise ConfigError(f"predict.{key} is given twice, by its option and by predict.{key}=...; leave one out.")
        given[key] = value


def _show_plan(session: Session, summary: "PlanSummary") -> None:
    """Show a plan: as JSON or as a table a scene; the status says whether it fits."""
    if session.as_json:
        session.show(summary.as_dict())
    else:
        session.listener.close()
        from terrazzo.cli.terminal import show_table

        for scene in summary.scenes:
            rows = [
                *scene.rows,
                *(("warning", warning) for warning in scene.warnings),
                *(("does not fit", refusal) for refusal in scene.refusals),
            ]
            show_table([{"plan": name, "": value} for name, value in rows], title=f"{scene.scene} -> {scene.out}")
    if not summary.fits:
        raise typer.Exit(1)
