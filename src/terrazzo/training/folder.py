"""The run folder: where things lie in it, who may write into it, and which configuration it belongs to."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from terrazzo.errors import TrainingError
from terrazzo.storage import locked, sweep, write_text

__all__ = ["RunFolder", "differences"]

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")

FREE = ("machine.workers", "logging", "evaluate", "calibrate", "predict", "track")
"""Parts of a configuration that cannot change what is trained; a run may be taken up again with others."""


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run.

    Attributes:
        path: The folder itself.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration, environment references kept."""
        return self.path / "config.yaml"

    @property
    def metadata(self) -> Path:
        """Environment, versions, commit, command and data fingerprint."""
        return self.path / "metadata.json"

    @property
    def log(self) -> Path:
        """One row of figures an epoch."""
        return self.path / "log.csv"

    @property
    def events(self) -> Path:
        """Folder of TensorBoard's files."""
        return self.path / "tensorboard"

    @property
    def samples(self) -> Path:
        """Folder with pictures of the last epoch's worst validation samples."""
        return self.path / "samples"

    @property
    def bundle(self) -> Path:
        """The best epoch as a model file."""
        return self.path / "bundle.safetensors"

    @property
    def trace(self) -> Path:
        """Chrome trace of a few updates."""
        return self.path / "trace.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """The newest checkpoint, from which a run goes on."""
        return self.checkpoints / "last.safetensors"

    def best(self, epoch: int) -> Path:
        """Return the path of one of the best epochs' checkpoints."""
        return self.checkpoints / f"best-{epoch:04d}.safetensors"

    def kept(self, epoch: int) -> Path:
        """Return the path of a checkpoint kept by `train.keep.every`."""
        return self.checkpoints / f"epoch-{epoch:04d}.safetensors"

    def failure(self, step: int, rank: int) -> Path:
        """Return the path of a batch that training could not go on with."""
        return self.path / f"failed-step-{step:07d}-process-{rank}.safetensors"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for this process and clear what killed ones left half-written.

        Raises:
            LockedError: Another process trains in it.
        """
        with locked(self.path):
            for folder in (self.path, self.checkpoints, self.samples):
                sweep(folder)
            yield

    def claim(self, config: Mapping[str, Any], *, free: Sequence[str] = ()) -> None:
        """Write the configuration, or check it against the one this folder was begun with.

        Args:
            config: The resolved configuration.
            free: Further settings, by dotted name, that may differ, since their content is checked elsewhere.

        Raises:
            TrainingError: The folder holds another run; the message shows the difference.
        """
        if self.config.is_file():
            stored = yaml.safe_load(self.config.read_text(encoding="utf-8")) or {}
            found = differences(stored, config)
            refused = [line for key, line in found.items() if not _is_free(key, free)]
            if refused and self.last.is_file():
                raise TrainingError(
                    f"{self.path} holds another run; give this one another name, or remove that folder. "
                    "Its configuration differs in:\n  " + "\n  ".join(refused)
                )
            if not found:
                return
        write_text(self.config, yaml.dump(_plain(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True))


class _Dumper(yaml.SafeDumper):
    """Writes text such as 1e-3 in quotes: older YAML calls it text, configurations read it as a number."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if _NUMBER.fullmatch(text) else None)


_Dumper.add_representer(str, _text)


def differences(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, str]:
    """Return a line for each setting that differs, by its dotted name.

    >>> differences({"train": {"epochs": 2}, "seed": 0}, {"train": {"epochs": 3}, "seed": 0})
    {'train.epochs': 'train.epochs: 2 there, 3 given'}
    """
    there, here = _leaves(_plain(stored)), _leaves(_plain(given))
    lines = {}
    for key in sorted({*there, *here}):
        if key not in there:
            lines[key] = f"{key}: absent there, {here[key]!r} given"
        elif key not in here:
            lines[key] = f"{key}: {there[key]!r} there, absent here"
        elif there[key] != here[key]:
            lines[key] = f"{key}: {there[key]!r} there, {here[key]!r} given"
    return lines


def _is_free(key: str, free: Sequence[str]) -> bool:
    return any(key == part or key.startswith(f"{part}.") for part in (*FREE, *free))


def _plain(value: object) -> object:
    """Return what YAML can hold: tuples as lists, paths as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _leaves(value: object, prefix: str = "") -> dict[str, Any]:
    """Return settings by dotted name; a list counts as one setting."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= _leaves(item, f"{prefix}.{key}" if prefix else str(key))
    return found if value else {prefix: {}}
