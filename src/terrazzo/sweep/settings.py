"""Settings of a sweep: how trials are chosen, where they run, and what a scheduler is told."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from terrazzo.record import Record
from terrazzo.sweep.search.pruning import Pruning

__all__ = ["ExecutorName", "SearchName", "SlurmSettings", "SweepSettings"]

ExecutorName = Literal["local", "ray", "slurm"]
SearchName = Literal["grid", "random", "optuna"]
# It becomes a folder, and part of a scheduler's job name.
SweepName = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^/\\\x00\n]*[^/\\\x00\n.][^/\\\x00\n]*$")]
OneLine = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\n]+$")]


class SlurmSettings(Record):
    """What the array script asks of SLURM for each trial."""

    submit: bool = False
    """Hand the script to `sbatch`; else it is written, and what to type is said."""
    partition: OneLine | None = None
    """Partition; the cluster's default if not given."""
    time: OneLine | None = None
    """Longest time of a trial, such as 12:00:00; a minute before its end it is told to stop, so that it can go on."""
    gpus: Annotated[int, Field(ge=0)] = 0
    """GPUs of a trial."""
    cpus: Annotated[int, Field(ge=1)] | None = None
    """Cores of a trial; the cluster's default if not given."""
    lines: tuple[OneLine, ...] = ()
    """Further lines, put in as they are: `#SBATCH` options first, then commands such as `module load cuda`."""


class SweepSettings(Record):
    """How a sweep is run."""

    name: SweepName | None = None
    """Folder of the sweep below `paths.runs`; the configuration's name and `-sweep` if not given."""
    jobs: Annotated[int, Field(ge=1)] | None = None
    """Trials at a time; if not given one for each GPU, or one on the processor; on a cluster as many as find room."""
    executor: ExecutorName = "local"
    """Where trials run."""
    search: SearchName = "grid"
    """Which trials are run: all of the grid, some drawn at random, or such as look promising after those before."""
    trials: Annotated[int, Field(ge=1)] | None = None
    """How many trials a random search or Optuna makes."""
    search_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Start of the search's draws."""
    pruning: Pruning | None = None
    """Which trials are stopped early, by the figure that training watches; if not given, those that a search draws by
    the median, and none of a grid or of an array."""
    cpus: Annotated[int, Field(ge=1)] | None = None
    """Cores of a trial in a Ray cluster; all of the smallest machine, divided by its GPUs, if not given."""
    figure: Annotated[str, Field(min_length=1)] = "miou"
    """Figure of each split that settings are compared by: miou, accuracy, or `iou <class>`."""
    slurm: SlurmSettings = SlurmSettings()
    """What SLURM is asked for."""

    @model_validator(mode="after")
    def _fit_together(self) -> "SweepSettings":
        if self.search == "grid" and self.trials is not None:
            raise ValueError("a grid has as many trials as values; --trials needs --search random or optuna")
        if self.search != "grid" and self.trials is None:
            raise ValueError(f"--search {self.search} needs --trials, how many to make")
        if self.executor == "slurm" and self.search == "optuna":
            raise ValueError(
                "Optuna waits for trials before it chooses the next, and an array is submitted whole; use "
                "--search random, or another executor"
            )
        asked = self.pruning is not None and self.pruning.by != "none"
        if asked and self.executor == "slurm":
            raise ValueError(
                "trials of an array do not know of each other, so that none can be pruned; leave --prune out, or use "
                "another executor"
            )
        if asked and self.search == "grid":
            raise ValueError("a grid runs each trial to its end; --prune needs --search random or optuna")
        return self

    @property
    def prunes(self) -> Pruning:
        """Which trials are stopped early."""
        if self.pruning is not None:
            return self.pruning
        return Pruning(by="none" if self.search == "grid" or self.executor == "slurm" else "median")
