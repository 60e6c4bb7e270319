"""A trained model on the disk: its bundle, the run folder it may lie in, the frozen weights it may lean on."""

from dataclasses import dataclass
from pathlib import Path

from terrazzo.bundle import Bundle, FrozenBackbone
from terrazzo.config import RunConfig, load_config
from terrazzo.errors import BundleError, ModelError

__all__ = ["ModelFiles", "run_config_of"]


@dataclass(frozen=True)
class ModelFiles:
    """Where a model lies.

    Attributes:
        bundle: The bundle, or a run folder, which stands for its best bundle.
        backbone: File or folder of the frozen weights that it leans on; where the run's configuration names them if
            None.
    """

    bundle: Path
    backbone: Path | None = None

    @classmethod
    def of(cls, model: "Path | ModelFiles") -> "ModelFiles":
        """Return what a verb was given as files."""
        return model if isinstance(model, ModelFiles) else cls(model)

    @property
    def folder(self) -> Path:
        """The folder that the bundle lies in: the run's, where it lies in one."""
        return self.bundle if self.bundle.is_dir() else self.bundle.parent

    def open(self, named: Path | None = None) -> Bundle:
        """Read the bundle; frozen weights are taken from nowhere but where their SHA-256 is the bundle's.

        Args:
            named: Frozen weights that settings name, where the call names none.

        Raises:
            BundleError: The bundle is damaged, or the weights that it leans on are missing or others.
        """
        backbone = self.backbone or named
        needed = Bundle.backbone_of(self.bundle)
        if backbone is None and needed is not None:
            backbone = self._of_training(needed)
        return Bundle.load(self.bundle, backbone=backbone)

    def _of_training(self, needed: FrozenBackbone) -> Path | None:
        """Return where the training of this run found the weights."""
        config = run_config_of(self.bundle)
        if config is None:
            return None
        try:
            return config.model.external_path()
        except ModelError as error:
            raise BundleError(
                f"{self.bundle} needs the frozen backbone {needed.identifier}, revision {needed.revision}, and where "
                f"its training found that, it is no longer: {error} Name its weights (--backbone PATH, or "
                "predict.backbone)."
            ) from error


def run_config_of(model: Path) -> RunConfig | None:
    """Return the configuration that a run folder was trained with; None for a lone bundle."""
    path = ModelFiles(model).folder / "config.yaml"
    return load_config(path) if path.is_file() else None
