"""Where a setting `weights: ...` points: a path, or the name of a publication that the user wrote."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from terrazzo.errors import ModelError
from terrazzo.models.weight_files import weight_files

__all__ = ["WeightSource"]

PUBLISHED = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")
PATTERNS = ["*.json", "*.safetensors"]
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightSource:
    """Weights that were found on the disk.

    Attributes:
        path: The file or folder.
        identifier: Name under which they are published; for a path, its last parts.
        revision: Commit of the publication; "file" for a path.
    """

    path: Path
    identifier: str
    revision: str

    @classmethod
    def of(cls, weights: str | Path, *, licence: str) -> "WeightSource":
        """Find weights, and fetch them where the user named a publication that is not here yet.

        Args:
            weights: A path, or `owner/name` or `owner/name@revision` on the Hugging Face hub where there is no such
                path.
            licence: What the weights are published under; said before anything is fetched.

        Raises:
            ModelError: They are not here and cannot be fetched; the message names the ways to get them.
        """
        path = Path(weights).expanduser()
        if path.exists() or not PUBLISHED.fullmatch(str(weights)) or path.suffix == ".safetensors":
            weight_files(path)
            whole = path.absolute()
            return cls(path, whole.name if whole.is_dir() else f"{whole.parent.name}/{whole.name}", "file")
        identifier, _, revision = str(weights).partition("@")
        folder = _fetched(identifier, revision or None, licence)
        commit = folder.name if folder.parent.name == "snapshots" else revision or "main"
        return cls(folder, identifier, commit)


def _fetched(identifier: str, revision: str | None, licence: str) -> Path:
    """Return the folder of a publication, from the hub's cache on this machine if it is there."""
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError as error:
        raise ModelError(
            f"weights: {identifier} is published on the Hugging Face hub, which needs the package {error.name}: "
            'install "terrazzo[dinov3]", or give the path of a folder.'
        ) from error
    try:
        kept = Path(snapshot_download(identifier, revision=revision, allow_patterns=PATTERNS, local_files_only=True))
        weight_files(kept)
    except (OSError, ModelError):
        LOG.info("Fetching %s from the Hugging Face hub (licence: %s).", identifier, licence)
    else:
        return kept
    try:
        return Path(snapshot_download(identifier, revision=revision, allow_patterns=PATTERNS))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"weights: {identifier}{f'@{revision}' if revision else ''} is not on this machine and cannot be fetched: "
            f"{_first_line(error)} If the publication is gated, accept its licence ({licence}) on its page and log in "
            f"(hf auth login). Without a connection: on a machine that has one run `hf download {identifier} "
            "--local-dir FOLDER`, bring the folder here and set weights: FOLDER."
        ) from error


def _first_line(error: Exception) -> str:
    line = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(". ")
    return f"{line}."
