"""How much memory a forward pass takes, counted from the tensors that live at once: the same figure every time."""

import weakref
from collections.abc import Callable, Mapping, Sequence

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

__all__ = ["pass_bytes"]


def pass_bytes(call: Callable[[], object]) -> int:
    """Return the most bytes of tensors, made by a call, that live at one time; what kernels use inside is not counted.

    Args:
        call: Answers tensors; what it holds before does not count.
    """
    live = _Live()
    with live:
        call()
    return live.peak


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch's own hook of subclasses
    """Counts the bytes of what operations answer until it is freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._bytes = 0
        self._known = weakref.WeakSet[torch.UntypedStorage]()

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run the operation."""
        given = {one.untyped_storage() for one in tree_iter((args, kwargs)) if isinstance(one, torch.Tensor)}
        answer = func(*args, **(kwargs or {}))
        for one in tree_iter(answer):
            if isinstance(one, torch.Tensor) and one.untyped_storage() not in given:
                self._count(one.untyped_storage())
        return answer

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        size = storage.nbytes()
        self._known.add(storage)
        self._bytes += size
        self.peak = max(self.peak, self._bytes)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self._bytes -= size
