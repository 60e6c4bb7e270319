"""Which arithmetic the devices have, tried on a product of matrices: that it runs, how exact it is, and how fast."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

import torch

from terrazzo.diagnosis.finding import Finding, Level
from terrazzo.machine import MachineSettings, precision_of

__all__ = ["check_precision"]

Kind = Literal["cpu", "cuda", "mps"]
_SIDE = {"cpu": 256, "cuda": 2048, "mps": 1024}
_REPEATS = 3
# float16 has no fast products on processors, and machine.precision refuses it there.
_REDUCED: Mapping[Kind, Mapping[str, torch.dtype]] = {
    "cpu": {"bfloat16": torch.bfloat16},
    "cuda": {"bfloat16": torch.bfloat16, "float16": torch.float16},
    "mps": {"bfloat16": torch.bfloat16, "float16": torch.float16},
}


class _Tried(NamedTuple):
    """One kind of arithmetic, tried.

    Attributes:
        error: Mean error beside float64, as a share of the mean result.
        seconds: Of one product, the fastest of several.
    """

    error: float
    seconds: float


def check_precision() -> list[Finding]:
    """Return a finding for the kind of device that networks would run on, with what `machine.precision: auto` takes."""
    kind: Kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return list(_on(kind))


def _on(kind: Kind) -> Iterator[Finding]:
    plain = _attempt(kind, torch.float32)
    if isinstance(plain, str):
        advice = "Set machine.accelerator=cpu." if kind != "cpu" else "Reinstall torch."
        level = Level.FAULT if kind == "cpu" else Level.WARNING
        yield Finding("precision", level, f"float32 fails on {kind}: {plain}", advice)
        return
    chosen = precision_of(MachineSettings(), kind)
    facts: dict[str, object] = {"device": kind, "auto": chosen, "float32": plain._asdict()}
    told = []
    failed = []
    for name, dtype in _REDUCED[kind].items():
        tried = _attempt(kind, dtype)
        if isinstance(tried, str):
            told.append(f"{name} does not run")
            facts[name] = tried
            failed.append(name)
        else:
            told.append(f"{name} {_speed(plain, tried)}")
            facts[name] = tried._asdict()
    if kind == "cuda":
        reduced = _with_tf32(lambda: _attempt(kind, torch.float32))
        if isinstance(reduced, _Tried):
            has = reduced.error > 10 * plain.error
            told.append(f"TF32 {_speed(plain, reduced)}" if has else "no TF32")
            facts["tf32"] = {**reduced._asdict(), "present": has}
    said = f"on {kind} machine.precision auto is {chosen}; beside float32 {', '.join(told)}"
    if chosen in failed:
        yield Finding("precision", Level.WARNING, said, "Set machine.precision=float32.", facts)
    else:
        yield Finding("precision", Level.FINE, said, facts=facts)


def _attempt(kind: Kind, dtype: torch.dtype) -> _Tried | str:
    """Multiply two matrices and compare with float64; return why it cannot be done where it cannot."""
    generator = torch.Generator().manual_seed(0)
    side = _SIDE[kind]
    left, right = (torch.rand(side, side, generator=generator) for _ in range(2))
    rows = min(side, 64)
    exact = left[:rows].double() @ right.double()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first, second = left.to(kind, dtype), right.to(kind, dtype)
            answer = (first @ second)[:rows].double().cpu()
            fastest = min(_timed(kind, first, second) for _ in range(_REPEATS))
    except (RuntimeError, TypeError) as error:
        return str(error).splitlines()[0]
    return _Tried(float((answer - exact).abs().mean() / exact.mean()), fastest)


def _timed(kind: Kind, first: torch.Tensor, second: torch.Tensor) -> float:
    begun = time.perf_counter()
    _ = first @ second
    if kind == "cuda":
        torch.cuda.synchronize()
    elif kind == "mps":
        torch.mps.synchronize()
    return time.perf_counter() - begun


def _with_tf32(act: Callable[[], _Tried | str]) -> _Tried | str:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        return act()
    finally:
        torch.set_float32_matmul_precision(before)


def _speed(plain: _Tried, other: _Tried) -> str:
    ratio = plain.seconds / max(other.seconds, 1e-9)
    return f"runs {ratio:.1f}x as fast (error {other.error:.0e})"
