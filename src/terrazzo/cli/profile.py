"""`terrazzo profile`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terrazzo.cli.options import AsJson, Debug, load
from terrazzo.cli.session import Session
from terrazzo.errors import ConfigError

if TYPE_CHECKING:
    from terrazzo.config import RunConfig
    from terrazzo.machine import MachineSettings

__all__ = ["profile"]

_MACHINE = "machine."


def profile(
    model: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BUNDLE|RUN|CONFIG|RECIPE|KEY=VALUE",
            help="A bundle, a run folder, or a configuration, which needs neither data nor training; then settings: of "
            "a configuration any, of a bundle or a run those of the machine, such as machine.threads=1.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(metavar="N|HxW", help="Image size in pixels; a training patch's if left out.")
    ] = None,
    batch: Annotated[list[int] | None, typer.Option(metavar="N", help="Images at once; 1 if left out.")] = None,
    steps: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="Steps to stop after; a refiner's least and largest if left out."),
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="auto, float32, bfloat16 or float16.")
    ] = None,
    device: Annotated[list[str] | None, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.")] = None,
    repeats: Annotated[int | None, typer.Option(metavar="N", help="Passes that are timed; 20 if left out.")] = None,
    warmup: Annotated[int | None, typer.Option(metavar="N", help="Passes before that; 3 if left out.")] = None,
    mean_steps: Annotated[
        float | None, typer.Option(metavar="X", help="Mean steps really taken, for the saving; else the run's own.")
    ] = None,
    bands: Annotated[int | None, typer.Option(metavar="N", help="Input channels, where nothing says them.")] = None,
    fuse: Annotated[bool, typer.Option(help="Take batch norms into convolutions first, as mapping does.")] = True,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Measure what a network costs.

    Parameters, multiplications, latency, memory and throughput, for every combination of the options that may be given
    several times: --size, --batch, --steps, --precision, --device. A run folder keeps them as profile.json.
    """
    with Session("profile", as_json=as_json, debug=debug) as session:
        from terrazzo.cli.settings import changed
        from terrazzo.phases.profile import profile as profile_model
        from terrazzo.profiling.settings import ProfileSettings

        given: dict[str, object] = {
            "sizes": size,
            "batch_sizes": batch,
            "steps": steps,
            "precisions": precision,
            "devices": device,
            "repeats": repeats,
            "warmup": warmup,
            "mean_steps": mean_steps,
            "bands": bands,
        }
        told = {key: value for key, value in given.items() if value is not None and value != []}
        settings = changed(ProfileSettings(), "profile", {"profile": {**told, "fuse": fuse}})
        subject, machine = _subject(model or ())
        session.finish(profile_model(subject, settings=settings, machine=machine, listener=session.listener))


def _subject(arguments: Sequence[str]) -> "tuple[Path | RunConfig, MachineSettings | None]":
    """Return what is to be profiled, and settings of the machine where they differ from its own.

    Raises:
        ConfigError: A setting of a bundle or a run is none of the machine's.
    """
    if not arguments or not _is_trained(arguments[0]):
        return load(arguments), None
    import yaml

    from terrazzo.cli.settings import changed
    from terrazzo.machine import MachineSettings
    from terrazzo.phases.evaluate import run_config_of

    path, given = Path(arguments[0]), {}
    for argument in arguments[1:]:
        key, sign, value = argument.partition("=")
        if not (sign and key.startswith(_MACHINE)):
            raise ConfigError(f'"{argument}" is no setting of the machine; a trained network has no others here.')
        given[key.removeprefix(_MACHINE)] = yaml.safe_load(value)
    if not given:
        return path, None
    config = run_config_of(path)
    return path, changed(config.machine if config else MachineSettings(), "machine", {"machine": given})


def _is_trained(argument: str) -> bool:
    """Whether an argument names a bundle or a run folder."""
    if Path(argument).suffix == ".onnx":
        raise ConfigError(
            f"{argument} is an ONNX graph, of which operations and parameters are not counted; name the bundle that it "
            "was exported from."
        )
    return Path(argument).is_dir() or Path(argument).suffix == ".safetensors"
