"""Checkpoints: one safetensors file with weights and optimiser state, and the run's state as JSON in its header.

Nothing is pickled. A file appears whole or not at all, carries a SHA-256 of its content, and is checked when loaded.
Order, augmentation and the random numbers of a step are functions of (seed, epoch, step), so no generator is stored.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from terrazzo.errors import TrainingError
from terrazzo.storage import atomic_path

__all__ = [
    "Best",
    "Checkpoint",
    "RunState",
    "flatten_optimizer",
    "load_checkpoint",
    "read_state",
    "restore_optimizer",
    "save_checkpoint",
]

FORMAT = 1
WEIGHTS, AVERAGE, OPTIMIZER = "weights.", "average.", "optimizer."
"""Prefixes of the tensors' names in the file."""


@dataclass(frozen=True)
class Best:
    """One of the best epochs.

    Attributes:
        epoch: Counted from 1.
        value: Monitored figure.
    """

    epoch: int
    value: float


@dataclass(frozen=True)
class RunState:
    """Where a run stands, apart from its tensors.

    Attributes:
        fingerprint: Of the prepared data.
        world_size: Processes that train.
        epoch: Epochs finished.
        batch: Batches of one process that are done in the epoch under way.
        step: Updates tried, those that a loss scaler skipped included.
        updates: Updates made; the schedule follows these.
        partial: Of each process in the epoch under way: sum of loss times patches, and patches.
        partial_seconds: Spent on the epoch under way.
        seconds: Spent on finished epochs.
        history: One row an epoch, as in log.csv; None where a figure does not exist.
        best: The best epochs, best first.
        reference: Value that an epoch has to better for early stopping.
        stale: Epochs since it was bettered.
        external: Identifier, revision and SHA-256 of frozen weights that stand in no checkpoint; empty without any.
        events: Bytes of each file of local trackers that belong to this state, by path in the run folder; those of
            TensorBoard by their names alone.
        scaler: State of the loss scaler; empty without one.
        numbers: Parts of the optimiser's state that are no tensors, by "parameter/name".
        finished: Nothing is left to train.
        stopped_early: Finished before the last epoch.
    """

    fingerprint: str
    world_size: int = 1
    epoch: int = 0
    batch: int = 0
    step: int = 0
    updates: int = 0
    partial: tuple[tuple[float, float], ...] = ()
    partial_seconds: float = 0.0
    seconds: float = 0.0
    history: tuple[dict[str, float | int | None], ...] = ()
    best: tuple[Best, ...] = ()
    reference: float | None = None
    stale: int = 0
    external: Mapping[str, str] = field(default_factory=dict)
    events: Mapping[str, int] = field(default_factory=dict)
    scaler: Mapping[str, float | int] = field(default_factory=dict)
    numbers: Mapping[str, float | int | bool | None] = field(default_factory=dict)
    finished: bool = False
    stopped_early: bool = False

    def as_json(self) -> str:
        """Return the state as JSON."""
        return json.dumps(dataclasses.asdict(self), allow_nan=False)

    @staticmethod
    def from_json(text: str) -> "RunState":
        """Return the state that `as_json` wrote.

        Raises:
            TypeError, ValueError, KeyError: The text is no such state.
        """
        content = json.loads(text)
        content["partial"] = tuple((float(total), float(count)) for total, count in content["partial"])
        content["history"] = tuple(content["history"])
        content["best"] = tuple(Best(**best) for best in content["best"])
        return RunState(**content)


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a run needs to go on as if it had never stopped.

    Attributes:
        state: Where it stands.
        weights: The network's state, parameters and buffers.
        optimizer: Tensors of the optimiser's state by "parameter/name".
        average: Running mean of the weights that are trained, by the same names; empty without one.
    """

    state: RunState
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    average: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def evaluated(self) -> dict[str, torch.Tensor]:
        """The network's state as it is evaluated and exported: the running mean where there is one."""
        return {**self.weights, **self.average}


def flatten_optimizer(
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, torch.Tensor], dict[str, float | int | bool | None]]:
    """Return an optimiser's state as tensors and as numbers, each by "parameter/name".

    Settings and rates are not in it: they are functions of the configuration and the step.
    """
    tensors: dict[str, torch.Tensor] = {}
    numbers: dict[str, float | int | bool | None] = {}
    for index, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}/{name}"] = value
            else:
                numbers[f"{index}/{name}"] = value
    return tensors, numbers


def restore_optimizer(optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's state into a freshly built optimiser of the same settings.

    Raises:
        TrainingError: The state belongs to other parameters.
    """
    whole = optimizer.state_dict()
    known = {index for group in whole["param_groups"] for index in group["params"]}
    entries: dict[int, dict[str, Any]] = {}
    for key, value in (*checkpoint.optimizer.items(), *checkpoint.state.numbers.items()):
        index, _, name = key.partition("/")
        entries.setdefault(int(index), {})[name] = value
    if not set(entries) <= known:
        raise TrainingError(
            f"The checkpoint holds optimiser state of {len(entries)} parameters, but the network has {len(known)}."
        )
    optimizer.load_state_dict({"state": entries, "param_groups": whole["param_groups"]})
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape and value.ndim > 1:
                # The file keeps no order in memory, and in another one arithmetic may differ in its last bits.
                state[name] = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all."""
    tensors = {WEIGHTS + name: tensor for name, tensor in checkpoint.weights.items()}
    tensors |= {AVERAGE + name: tensor for name, tensor in checkpoint.average.items()}
    tensors |= {OPTIMIZER + name: tensor for name, tensor in checkpoint.optimizer.items()}
    stored: dict[str, torch.Tensor] = {}
    places: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        # Tied weights share memory, which the format does not allow.
        stored[name] = plain.clone() if plain.data_ptr() in places else plain
        places.add(plain.data_ptr())
    state = checkpoint.state.as_json()
    metadata = {"format": str(FORMAT), "state": state, "sha256": _digest(stored, state)}
    with atomic_path(path) as temporary:
        save_file(stored, temporary, metadata=metadata)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and check it against its SHA-256.

    Raises:
        TrainingError: The file is missing, damaged, or no checkpoint of this version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            stored = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (SafetensorError, OSError) as error:
        raise TrainingError(_damaged(path, str(error))) from error
    state = _parse(path, metadata)
    if _digest(stored, metadata["state"]) != metadata.get("sha256"):
        raise TrainingError(_damaged(path, "its content does not match its checksum"))
    weights, average, optimizer = (
        {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}
        for prefix in (WEIGHTS, AVERAGE, OPTIMIZER)
    )
    return Checkpoint(state, weights, optimizer, average)


def read_state(path: Path) -> RunState:
    """Read only a checkpoint's state, from the file's header.

    Raises:
        TrainingError: The file is missing, damaged, or no checkpoint of this version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return _parse(path, file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise TrainingError(_damaged(path, str(error))) from error


def _parse(path: Path, metadata: Mapping[str, str]) -> RunState:
    if metadata.get("format") != str(FORMAT) or "state" not in metadata:
        raise TrainingError(
            f"{path} is no checkpoint of format {FORMAT} (it says {metadata.get('format', 'nothing')!r})."
        )
    try:
        return RunState.from_json(metadata["state"])
    except (TypeError, ValueError, KeyError) as error:
        raise TrainingError(_damaged(path, f"its state cannot be read: {error!r}")) from error


def _damaged(path: Path, reason: str) -> str:
    return (
        f"The checkpoint {path} cannot be used: {reason}. To go on from another one, copy a best-*.safetensors or "
        "epoch-*.safetensors beside it over it; to begin again, remove the run folder."
    )


def _digest(tensors: Mapping[str, torch.Tensor], state: str) -> str:
    """Return a SHA-256 over names, types, shapes, bytes and the state."""
    digest = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
