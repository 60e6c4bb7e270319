"""Trials as tasks of an array, by an `sbatch` that runs it here."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from terrazzo.errors import ConfigError
from terrazzo.sweep.executors.slurm import pending_job, submit, write_script
from terrazzo.sweep.settings import SlurmSettings
from terrazzo.sweep.trial import Trial

MakeTrial = Callable[..., Trial]
Runs = Callable[[str], None]

SBATCH = """#!/bin/bash
# Runs an array task by task, as SLURM would, and says its number.
script="${!#}"
[ "$1" = --parsable ] || exit 9
range=$(grep -oP '(?<=^#SBATCH --array=)[0-9]+-[0-9]+' "$script") || { echo "no array" >&2; exit 1; }
for task in $(seq "${range%-*}" "${range#*-}"); do
  SLURM_ARRAY_TASK_ID=$task SLURM_JOB_ID=77 bash "$script" </dev/null >>"$(dirname "$script")/tasks.txt" 2>&1
done
echo "4711;cluster"
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put commands on the path, in a folder of their own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def put(name: str, text: str) -> None:
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)

    return put


def test_an_array_runs_each_trial_once(make_trial: MakeTrial, runs: Runs, cluster: Callable[[str, str], None]) -> None:
    runs("(folder / 'ran').write_text(os.environ['SLURM_ARRAY_TASK_ID'] + ' ' + os.getcwd() + str(options))")
    cluster("sbatch", SBATCH)
    trials = [make_trial(number) for number in (4, 2, 7)]
    folder = trials[0].folder.parent.parent
    script = write_script(folder, trials, SlurmSettings())
    assert submit(script).job == "4711"
    found = [(trial.folder / "ran").read_text() for trial in trials]
    assert found == [f"{task} {Path.cwd()}[]" for task in range(3)]
    assert (script.parent / "tasks.txt").read_text() == ""


def test_the_script_says_what_was_asked_for(make_trial: MakeTrial, runs: Runs) -> None:
    runs("")
    trial = make_trial()
    folder = trial.folder.parent.parent
    settings = SlurmSettings(
        partition="gpu", time="12:00:00", gpus=2, cpus=8, lines=("#SBATCH --account=maps", "module load cuda")
    )
    text = write_script(folder, [trial], settings, jobs=3).read_text()
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    for line in (
        "--job-name=terrazzo-größe-sweep",
        "--array=0-0%3",
        "--ntasks=1",
        "--partition=gpu",
        "--time=12:00:00",
        "--gpus=2",
        "--cpus-per-task=8",
        "--signal=B:TERM@60",
        "--account=maps",
    ):
        assert f"#SBATCH {line}" in lines, line
    assert f'#SBATCH --output="{folder / "slurm"}/%A_%a.txt"' in lines
    directives = [number for number, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert max(directives) < lines.index("module load cuda")
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
    again = write_script(folder, [trial], SlurmSettings())
    assert again.name == "array-2.sh"
    assert not any(
        line.startswith(("#SBATCH --partition", "#SBATCH --signal")) for line in again.read_text().splitlines()
    )


def test_without_sbatch_it_is_said_what_to_type(make_trial: MakeTrial, runs: Runs, cluster: object) -> None:
    runs("")
    trial = make_trial()
    script = write_script(trial.folder.parent.parent, [trial], SlurmSettings())
    with pytest.raises(ConfigError, match=r"no sbatch on this machine.*type `sbatch '.*array-1.sh'`"):
        submit(script)


def test_what_sbatch_says_is_passed_on(make_trial: MakeTrial, runs: Runs, cluster: Callable[[str, str], None]) -> None:
    runs("")
    cluster("sbatch", "#!/bin/bash\necho 'invalid partition: gpu' >&2\nexit 1\n")
    trial = make_trial()
    script = write_script(trial.folder.parent.parent, [trial], SlurmSettings())
    with pytest.raises(ConfigError, match=r"refused .*: invalid partition: gpu"):
        submit(script)
    assert pending_job(trial.folder.parent.parent) is None


def test_an_array_in_the_queue_is_known(make_trial: MakeTrial, runs: Runs, cluster: Callable[[str, str], None]) -> None:
    runs("")
    cluster("sbatch", "#!/bin/bash\necho 12\n")
    trial = make_trial()
    folder = trial.folder.parent.parent
    submit(write_script(folder, [trial], SlurmSettings()))
    assert pending_job(folder) is None
    cluster("squeue", '#!/bin/bash\n[ "$*" = "--noheader --jobs 12" ] && echo "12_[0] gpu PD"\n')
    assert pending_job(folder) == "12"
    cluster("squeue", "#!/bin/bash\necho 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1\n")
    assert pending_job(folder) is None
