"""The network that a worker keeps from one scene to the next, so that only the first one waits for it."""

from collections.abc import Callable
from pathlib import Path

from terrazzo.bundle import Bundle
from terrazzo.errors import BundleError
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.header import Decisions
from terrazzo.scene.settings import PredictSettings
from terrazzo.storage import fingerprint

__all__ = ["KeptNetwork"]


class KeptNetwork:
    """The bundle and the network that were used last; one of each, since a device has room for one."""

    def __init__(self) -> None:
        self._bundle: Bundle | None = None
        self._forward: WindowForward | None = None
        self._made_for = ""

    def bundle(self, path: Path, *, weights: str, backbone: Path | None) -> Bundle:
        """Return the bundle of these weights; the file is read where it is not the bundle that is kept.

        Args:
            path: The bundle's file.
            weights: The fingerprint that it must have.
            backbone: Weights of the frozen backbone, where the bundle leans on one.

        Raises:
            BundleError: The file cannot be loaded, or holds another bundle.
        """
        if self._bundle is None or self._bundle.fingerprint != weights:
            self._forget()
            loaded = Bundle.load(path, backbone=backbone)
            if loaded.fingerprint != weights:
                raise BundleError(f"{path} has changed since the job began; start the same command again.")
            self._bundle = loaded
        return self._bundle

    def forward(
        self,
        bundle: Bundle,
        settings: PredictSettings,
        decisions: Decisions,
        *,
        lanes: int,
        make: Callable[[], WindowForward],
    ) -> WindowForward:
        """Return the network, ready to answer windows; made where anything differs from the one that is kept.

        Args:
            bundle: The bundle.
            settings: How the scene becomes a map.
            decisions: What the probe chose.
            lanes: Forward passes side by side.
            make: Makes it.
        """
        wanted = fingerprint(
            [bundle.fingerprint, settings.model_dump(mode="json"), decisions.model_dump(mode="json"), lanes]
        )
        if self._forward is None or self._made_for != wanted:
            # The old one first: there may be no room for both.
            self._forward = None
            self._forward, self._made_for = make(), wanted
        return self._forward

    def _forget(self) -> None:
        self._bundle = self._forward = None
