"""Published weights on the disk: a .safetensors file, or a folder as model hubs lay it out, whole or in shards."""

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import JsonValue

from terrazzo.errors import ModelError
from terrazzo.storage import hash_file

__all__ = ["read_tensors", "settings_beside", "weight_files", "weights_sha256"]

WHOLE = "model.safetensors"
SHARDS = "model.safetensors.index.json"


def weight_files(path: Path) -> tuple[Path, ...]:
    """Return the files that hold the weights, in the order of their names.

    Args:
        path: A .safetensors file, or a folder with `model.safetensors` or the shards of an index.

    Raises:
        ModelError: There are none, or a shard is missing. Only safetensors is taken, since a pickle can run code.
    """
    path = path.expanduser()
    if path.is_file():
        if path.suffix != ".safetensors":
            raise ModelError(
                f"weights: {path} must be a .safetensors file, since a pickle can run code; give the file or folder in "
                "Hugging Face's layout."
            )
        return (path,)
    if not path.is_dir():
        raise ModelError(f"weights: {path} does not exist; give a .safetensors file, or a folder with {WHOLE} in it.")
    if (path / WHOLE).is_file():
        return (path / WHOLE,)
    if not (path / SHARDS).is_file():
        raise ModelError(f"weights: the folder {path} holds neither {WHOLE} nor {SHARDS}.")
    return _shards(path)


def _shards(folder: Path) -> tuple[Path, ...]:
    table = _object(folder / SHARDS).get("weight_map")
    names = sorted({str(name) for name in table.values()}) if isinstance(table, dict) else []
    # The index is foreign: it may only name what lies beside it.
    wrong = [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]
    if not names or wrong:
        raise ModelError(f"weights: {folder / SHARDS} names no .safetensors files beside it; fetch the folder again.")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"weights: the folder {folder} lacks {', '.join(missing)}; fetch it again, whole.")
    return tuple(folder / name for name in names)


def weights_sha256(path: Path) -> str:
    """Return the SHA-256 that stands for weights: the file's; of shards, that of the listing that `sha256sum` prints.

    `sha256sum model-*.safetensors | sha256sum`, run in the folder, gives the latter.

    Raises:
        ModelError: There are no weights.
    """
    files = weight_files(path)
    hashes = [_hashed(file.resolve(), *_signature(file)) for file in files]
    if len(files) == 1:
        return hashes[0]
    listing = "".join(f"{digest}  {file.name}\n" for digest, file in zip(hashes, files, strict=True))
    return hashlib.sha256(listing.encode()).hexdigest()


def _signature(file: Path) -> tuple[int, int, int]:
    state = file.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns


@functools.lru_cache(maxsize=64)
def _hashed(file: Path, _inode: int, _size: int, _changed: int) -> str:
    """Hash gigabytes once, as long as the file stays as it is."""
    return hash_file(file)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return all tensors by name, in memory of their own, floating ones in float32.

    Raises:
        ModelError: There are no weights, or they are damaged.
    """
    from safetensors import SafetensorError, safe_open

    tensors: dict[str, torch.Tensor] = {}
    for file in weight_files(path):
        try:
            with safe_open(file, framework="pt", device="cpu") as source:
                for name in source.keys():  # noqa: SIM118 - the file is no mapping
                    found = source.get_tensor(name)
                    # Copies, because the file's own pages change under us if someone writes into it.
                    kind = torch.float32 if found.is_floating_point() else found.dtype
                    tensors[name] = found.to(kind, copy=True)
        except SafetensorError as error:
            raise ModelError(f"weights: {file} is damaged or no safetensors file: {error}; fetch it again.") from error
    return tensors


def settings_beside(path: Path, name: str) -> Mapping[str, JsonValue] | None:
    """Return the content of a JSON file in the folder of weights; None where there is no such file.

    Raises:
        ModelError: The file is no JSON object.
    """
    path = path.expanduser()
    file = (path if path.is_dir() else path.parent) / name
    return _object(file) if file.is_file() else None


def _object(file: Path) -> dict[str, JsonValue]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} beside the weights cannot be read as JSON: {error}.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{file} beside the weights is no JSON object.")
    return content
