"""A plan for a reader: what is cut how, computed how, read and written, and what it takes."""

from terrazzo.scene.budget import Budget
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.probe import Decided

__all__ = ["plan_report", "short_plan"]

_MIB, _GIB = 2**20, 2**30


def plan_report(plan: ScenePlan, decided: Decided, budget: Budget) -> list[tuple[str, str]]:
    """Return names and values, in the order in which they are read.

    Args:
        plan: How the scene is cut.
        decided: What the probe chose.
        budget: What the job takes, and what there is.
    """
    height, width = plan.window_shape
    rows = [
        ("scene", f"{plan.grid.height} x {plan.grid.width} pixels, bands {', '.join(plan.bands.names)}"),
        ("windows", f"{plan.windows} of {height} x {width}, {_overlap(plan)}"),
        ("strips", f"{len(plan.strips)} of about {plan.grid.height // len(plan.strips)} rows"),
        ("computing", decided.report.describe(decided.decisions)),
        ("workers", _workers(budget)),
        ("to read", f"{_size(plan.bytes_read)}, uncompressed"),
        ("to write", f"about {_size(sum(budget.disk))}, strips and scratch files included"),
        ("memory", f"{_size(budget.host_bytes)} of {_size(budget.memory_limit)}{_shares(budget)}"),
    ]
    if budget.device_bytes is not None and budget.device_free is not None:
        rows.append(("device memory", f"{_size(budget.device_bytes)} of {_size(budget.device_free)} free"))
    strips, maps = budget.disk
    rows.append(
        ("disk", f"{_size(strips + maps)} of {_size(budget.disk_free)} free: strips {_size(strips)}, the rest maps")
    )
    rows.append(("expected time", _time(budget.seconds)))
    return rows


def short_plan(plan: ScenePlan, budget: Budget) -> str:
    """Return one line."""
    return (
        f"{plan.describe()}; {_size(budget.host_bytes)} of memory, {_size(sum(budget.disk))} of disk, expected time "
        f"{_time(budget.seconds)}"
    )


def _overlap(plan: ScenePlan) -> str:
    shares = [
        f"{(axis.size - axis.stride) / axis.size:.3g} {name}"
        for axis, name in ((plan.rows, "down"), (plan.columns, "across"))
        if len(axis) > 1
    ]
    margin = f", margin {plan.margin}" if plan.margin else ""
    return (f"overlap at least {' and '.join(shares)}" if shares else "no overlap") + margin


def _workers(budget: Budget) -> str:
    place = budget.places[0]
    workers = "this process" if len(budget.places) == 1 else f"{len(budget.places)} processes"
    each = "" if len(budget.places) == 1 else " each"
    lanes = "1 forward pass" if place.lanes == 1 else f"{place.lanes} forward passes"
    readers = "1 reading thread" if place.readers == 1 else f"{place.readers} reading threads"
    return f"{workers}; {lanes} and {readers}{each}"


def _shares(budget: Budget) -> str:
    """Say what the memory is for, the largest shares first."""
    memory = budget.work.memory(budget.places[0])
    parts = {
        "scene": memory.held + memory.decoding + memory.cache,
        "windows under way": memory.waiting,
        "network": memory.network,
        "blending": memory.blending,
        "map rows": memory.products,
        "files of the map": memory.joining,
    }
    largest = sorted(parts.items(), key=lambda part: -part[1])
    listed = ", ".join(f"{name} {_size(count)}" for name, count in largest if count >= _MIB)
    each = "" if len(budget.places) == 1 else " in each"
    return f": held already {_size(budget.process_bytes)}{each}" + (f", {listed}" if listed else "")


def _size(count: int) -> str:
    return f"{count / _GIB:.3g} GiB" if count >= _GIB else f"{count / _MIB:.3g} MiB"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "not measured, the scene is small"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
