"""`terrazzo predict`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from terrazzo.cli.options import AsJson, Backbone, Debug, Model
from terrazzo.cli.session import Session
from terrazzo.errors import ConfigError

__all__ = ["predict", "split_inputs"]

_SETTING = re.compile(r"(predict|machine)\.(\w+)=(.*)", re.DOTALL)


def predict(
    model: Model,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT|KEY=VALUE",
            help='Rasters, folders of them, or patterns such as "scenes/**/*.tif"; and settings such as '
            "predict.window=512 or machine.precision=float32.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR|FILE", help="Folder for the maps, or the one map's file.")],
    backbone: Backbone = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Map scenes of any size."""
    with Session("predict", as_json=as_json, debug=debug) as session:
        from terrazzo.cli.settings import changed
        from terrazzo.machine import MachineSettings
        from terrazzo.phases import predict as map_scenes
        from terrazzo.phases.model_files import ModelFiles, run_config_of
        from terrazzo.scene.settings import PredictSettings

        scenes, given = split_inputs(inputs)
        config = run_config_of(model)
        settings = changed(config.predict if config else PredictSettings(), "predict", given)
        machine = changed(config.machine if config else MachineSettings(), "machine", given)
        files = ModelFiles(model, backbone)
        session.finish(map_scenes(files, scenes, out, settings=settings, machine=machine, listener=session.listener))


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
