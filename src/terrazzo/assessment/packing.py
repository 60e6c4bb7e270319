"""Records of counts taken apart into named tensors and put together again, so that they can go between processes."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import torch

__all__ = ["packed", "unpacked"]

R = TypeVar("R")


def packed(record: object, name: str) -> dict[str, torch.Tensor]:
    """Return the numbers of a frozen record, and of those within it, under dotted names.

    Args:
        record: A dataclass of tensors, arrays, numbers and such dataclasses; what is none of these stays out.
        name: What all names begin with.
    """
    tensors: dict[str, torch.Tensor] = {}
    for field, value in _fields(record).items():
        place = f"{name}.{field}"
        if dataclasses.is_dataclass(value):
            tensors |= packed(value, place)
        elif isinstance(value, torch.Tensor):
            tensors[place] = value.cpu()
        elif isinstance(value, np.ndarray):
            tensors[place] = torch.from_numpy(np.ascontiguousarray(value))
        elif isinstance(value, bool | int | float):
            kind = torch.float64 if isinstance(value, float) else torch.int64
            tensors[place] = torch.tensor(value, dtype=kind)
    return tensors


def unpacked(template: R, tensors: Mapping[str, torch.Tensor], name: str) -> R:
    """Return a record whose numbers are those of the tensors.

    Args:
        template: A record of the same kind; what has no tensor is taken from it.
        tensors: What `packed` made.
        name: What all names begin with.
    """
    changes: dict[str, Any] = {}
    for field, value in _fields(template).items():
        place = f"{name}.{field}"
        if dataclasses.is_dataclass(value):
            changes[field] = unpacked(value, tensors, place)
        elif isinstance(value, torch.Tensor):
            changes[field] = tensors[place]
        elif isinstance(value, np.ndarray):
            changes[field] = tensors[place].numpy()
        elif isinstance(value, bool | int | float):
            changes[field] = type(value)(tensors[place].item())
    return dataclasses.replace(template, **changes)  # type: ignore[type-var]


def _fields(record: object) -> dict[str, Any]:
    if not dataclasses.is_dataclass(record):
        raise TypeError(f"{type(record).__name__} is no dataclass")
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record) if field.init}
