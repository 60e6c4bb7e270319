"""Trials as tasks of a SLURM array: the script is written here, and handed to `sbatch` where that is asked for."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from terrazzo.errors import ConfigError
from terrazzo.storage import read_json, write_json, write_text
from terrazzo.sweep.executors.process import trial_command
from terrazzo.sweep.settings import SlurmSettings
from terrazzo.sweep.trial import Trial

__all__ = ["SLURM_FOLDER", "Submitted", "pending_job", "submit", "write_script"]

SLURM_FOLDER = "slurm"
"""Folder of a sweep with its array scripts, lists of trials, and what tasks printed."""

_JOB_FILE = "job.json"
_UNSAFE = re.compile(r"[^\w.-]+")
_SUBMIT_SECONDS = 120
_QUEUE_SECONDS = 30
# So long before its time is over a task is told to stop.
_WARNING_SECONDS = 60


@dataclass(frozen=True)
class Submitted:
    """An array that SLURM has taken.

    Attributes:
        job: Its number.
        script: What it runs.
    """

    job: str
    script: Path


def write_script(folder: Path, trials: Sequence[Trial], settings: SlurmSettings, *, jobs: int | None = None) -> Path:
    """Write the array script of trials whose run folders have been written, and return its path.

    Args:
        folder: The sweep's.
        trials: One task each.
        settings: What SLURM is asked for.
        jobs: Tasks at a time at most; as many as find room if None.
    """
    place = (folder / SLURM_FOLDER).absolute()
    number = sum(1 for _ in place.glob("array-*.sh")) + 1
    listed = place / f"array-{number}.txt"
    # Lines, since a script's array has no room for the names of thousands.
    write_text(listed, "".join(f"{trial.folder.absolute()}\n" for trial in trials))
    options = {
        "job-name": _UNSAFE.sub("-", f"terrazzo-{folder.name}"),
        "array": f"0-{len(trials) - 1}{'' if jobs is None else f'%{jobs}'}",
        "output": f"{_escaped(place)}/%A_%a.txt",
        "ntasks": "1",
        "partition": settings.partition,
        "time": settings.time,
        "gpus": str(settings.gpus) if settings.gpus else None,
        "cpus-per-task": None if settings.cpus is None else str(settings.cpus),
        # The script becomes the trial's process, which then stops as on any other signal.
        "signal": None if settings.time is None else f"B:TERM@{_WARNING_SECONDS}",
    }
    said = [f"#SBATCH --{name}={_quoted(value)}" for name, value in options.items() if value is not None]
    command = shlex.join(trial_command(Path("TRIAL"))).replace("TRIAL", '"$trial"')
    lines = [
        "#!/bin/bash",
        *said,
        *settings.lines,
        f"cd {shlex.quote(str(Path.cwd()))} || exit 1",
        f'trial="$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {shlex.quote(str(listed))})"',
        f"exec {command}",
    ]
    script = place / f"array-{number}.sh"
    write_text(script, "\n".join(lines) + "\n")
    script.chmod(0o755)
    return script


def submit(script: Path) -> Submitted:
    """Hand a script to `sbatch`.

    Raises:
        ConfigError: There is no `sbatch` here, or it refused.
    """
    if shutil.which("sbatch") is None:
        raise ConfigError(
            f"there is no sbatch on this machine; on one where there is, type `sbatch {shlex.quote(str(script))}`."
        )
    done = subprocess.run(
        ["sbatch", "--parsable", str(script)], capture_output=True, text=True, timeout=_SUBMIT_SECONDS, check=False
    )
    if done.returncode:
        raise ConfigError(f"sbatch refused {script}: {done.stderr.strip() or f'status {done.returncode}'}.")
    # "number;cluster" where there are several clusters.
    job = done.stdout.strip().partition(";")[0]
    write_json(script.with_name(_JOB_FILE), {"job": job, "script": script.name})
    return Submitted(job, script)


def pending_job(folder: Path) -> str | None:
    """Return the number of the array that was submitted last where SLURM still has it, so that nobody submits it twice.

    Args:
        folder: The sweep's.
    """
    path = folder / SLURM_FOLDER / _JOB_FILE
    if not path.is_file() or shutil.which("squeue") is None:
        return None
    job = str(read_json(path)["job"])
    command = ["squeue", "--noheader", "--jobs", job]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_QUEUE_SECONDS, check=False)
    return job if done.returncode == 0 and done.stdout.strip() else None


def _escaped(path: Path) -> str:
    """Return a path in which SLURM finds no pattern."""
    return str(path).replace("%", "%%")


def _quoted(value: str) -> str:
    """Return an option's value; SLURM reads quotes as a shell does."""
    return f'"{value}"' if re.search(r"[\s#]", value) else value
