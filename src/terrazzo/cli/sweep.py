"""`terrazzo sweep`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from terrazzo.cli.options import AsJson, Debug, split_arguments
from terrazzo.cli.session import Session
from terrazzo.errors import ConfigError

if TYPE_CHECKING:
    from terrazzo.sweep.settings import SweepSettings

__all__ = ["sweep"]


class Executor(StrEnum):
    """Where trials run."""

    LOCAL = "local"
    RAY = "ray"
    SLURM = "slurm"


class Search(StrEnum):
    """Which trials are run."""

    GRID = "grid"
    RANDOM = "random"
    OPTUNA = "optuna"


class Prune(StrEnum):
    """Which trials are stopped early."""

    NONE = "none"
    MEDIAN = "median"
    HALVING = "halving"


def sweep(
    configuration: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONFIG|RECIPE|KEY=VALUES",
            help="A YAML file or a recipe's name as for `run`, then settings. One with several values varies: "
            "seed=1,2,3 model=smp,trm data.fold=all optimizer.lr=1e-4:1e-2:log4; keys parted by colons vary together: "
            "model:loss=trm:steps,hardnet70:ce.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Folder of the sweep below paths.runs; the configuration's name and -sweep if not given."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Trials at a time; one for each GPU, or one on the processor, if not given."),
    ] = None,
    executor: Annotated[Executor, typer.Option(help="Where trials run.")] = Executor.LOCAL,
    search: Annotated[
        Search, typer.Option(help="Run all of the grid, draw trials at random, or let Optuna choose them.")
    ] = Search.GRID,
    trials: Annotated[int | None, typer.Option(min=1, help="How many trials a search makes.")] = None,
    search_seed: Annotated[int, typer.Option(min=0, help="Start of the search's draws.")] = 0,
    prune: Annotated[
        Prune | None,
        typer.Option(
            help="Stop trials of a search early by the figure that training watches: those worse than the median (as "
            "if not given), all but the best at each rung of epochs (Optuna), or none."
        ),
    ] = None,
    prune_after: Annotated[
        int, typer.Option(min=0, metavar="EPOCHS", help="Epochs that each trial has before the median may stop it.")
    ] = 0,
    figure: Annotated[
        str, typer.Option(help="Figure that settings are compared by: miou, accuracy, or 'iou CLASS'.")
    ] = "miou",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every trial's configuration, list the trials, and stop.")
    ] = False,
    collect: Annotated[
        bool, typer.Option("--collect", help="Put together what has finished, and start nothing.")
    ] = False,
    cpus: Annotated[int | None, typer.Option(min=1, help="Cores of a trial in a Ray cluster or a SLURM array.")] = None,
    submit: Annotated[bool, typer.Option("--submit", help="Hand the array script to sbatch.")] = False,
    partition: Annotated[str | None, typer.Option(help="Partition of SLURM.")] = None,
    time: Annotated[str | None, typer.Option(help="Longest time of a trial under SLURM, such as 12:00:00.")] = None,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of a trial under SLURM.")] = 0,
    slurm_line: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Further line of the array script; #SBATCH options before commands."),
    ] = None,
    trial: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Run one trial of a sweep in its run folder, as tasks of an array do.",
            show_default=False,
        ),
    ] = None,
    attached: Annotated[bool, typer.Option("--attached", hidden=True)] = False,
    cores: Annotated[str | None, typer.Option(hidden=True)] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run a configuration with many settings.

    Each trial is an ordinary run in a folder of its own; at the end a table and a page compare them. The same command
    goes on after any stop: finished trials stay, others take up their checkpoints. Exit status 1 where a trial failed.
    """
    _tie(attached=attached, cores=cores)
    with Session("sweep", as_json=as_json, debug=debug) as session:
        if trial is not None:
            _run_one(session, trial, configuration)
            return
        from terrazzo.phases.sweep import collect_sweep, plan_sweep
        from terrazzo.phases.sweep import sweep as run_sweep

        slurm = {"submit": submit, "partition": partition, "time": time, "gpus": gpus, "cpus": cpus}
        settings = _settings(
            name=name,
            jobs=jobs,
            executor=executor.value,
            search=search.value,
            trials=trials,
            search_seed=search_seed,
            pruning=None if prune is None and not prune_after else _pruning(prune, prune_after),
            cpus=cpus,
            figure=figure,
            slurm={**slurm, "lines": slurm_line or ()},
        )
        source, arguments = split_arguments(configuration)
        plan = plan_sweep(source, arguments, settings, listener=session.listener)
        if dry_run:
            session.show(plan.as_dict())
            return
        summary = collect_sweep(plan) if collect else run_sweep(plan, listener=session.listener)
        session.finish(summary)
        if summary.states["failed"]:
            raise typer.Exit(1)


def _tie(*, attached: bool, cores: str | None) -> None:
    """Follow whoever started this process as one trial of many, before anything heavy loads."""
    from terrazzo.sweep.executors.attachment import end_with_starter, use_cores

    if attached:
        end_with_starter()
    if cores:
        use_cores(cores)


def _run_one(session: Session, folder: Path, configuration: list[str] | None) -> None:
    from terrazzo.phases.sweep_trial import run_trial

    if configuration:
        raise ConfigError("--trial runs a trial as its sweep wrote it; it takes no configuration and no settings.")
    outcome = run_trial(folder, listener=session.listener)
    session.show({"folder": str(folder), **outcome.model_dump(mode="json", exclude={"trial"})})


def _pruning(prune: Prune | None, after: int) -> dict[str, Any]:
    return {"by": (prune or Prune.MEDIAN).value, "warmup": after}


def _settings(**given: object) -> "SweepSettings":
    """Return the options as settings.

    Raises:
        ConfigError: They do not go together.
    """
    from pydantic import ValidationError

    from terrazzo.sweep.settings import SweepSettings

    try:
        return SweepSettings.model_validate(given)
    except ValidationError as error:
        said = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}".removeprefix(": ") for one in error.errors()]
        raise ConfigError("; ".join(line.removeprefix("Value error, ") for line in said) + ".") from error
