"""Reading the file of a bundle: nothing is believed before its size, header, contract and weights proved sound."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from terrazzo.bundle.contract import FORMAT, METADATA_KEY, Contract
from terrazzo.errors import BundleError

__all__ = ["CALIBRATED_NAME", "best_file", "bundle_file", "read_contract", "read_weights", "require_finite"]

BUNDLE_NAME = "bundle.safetensors"
"""Name of the best bundle in a run folder."""
CALIBRATED_NAME = "bundle-calibrated.safetensors"
"""Name of what calibrating made of it."""
LARGEST_FILE = 64 * 2**30
"""Bytes of a file that is opened at most."""
LARGEST_HEADER = 32 * 2**20
"""Bytes of a header that is read at most."""


def bundle_file(path: Path) -> Path:
    """Return the file itself, or the bundle that a run folder stands for.

    That is its best bundle; or what calibrating made of it, as long as that was made of this very bundle: after further
    training the earlier calibration counts no more.

    Raises:
        BundleError: There is none, or one of the two is damaged.
    """
    file = best_file(path)
    calibrated = path / CALIBRATED_NAME
    if not path.is_dir() or not calibrated.is_file():
        return file
    calibration = read_contract(calibrated).calibration
    made_of_it = calibration is not None and calibration.source == read_contract(file).fingerprint
    return calibrated if made_of_it else file


def best_file(path: Path) -> Path:
    """Return the file itself, or the best bundle of a run folder as training left it.

    Raises:
        BundleError: There is none.
    """
    file = path / BUNDLE_NAME if path.is_dir() else path
    if not file.is_file():
        what = (
            f"{path} is a folder without {BUNDLE_NAME}; train first, or name a bundle"
            if path.is_dir()
            else (f"{path} does not exist; name a bundle or a run folder")
        )
        raise BundleError(f"{what}.")
    return file


def read_contract(file: Path) -> Contract:
    """Read and check the JSON in the file's header, without touching the weights.

    Raises:
        BundleError: The file is damaged, foreign, too large or of another format, or a field is wrong.
    """
    metadata = _read_header(file).get("__metadata__")
    if not isinstance(metadata, dict) or METADATA_KEY not in metadata:
        raise BundleError(
            f"{file} is a safetensors file, but not a Terrazzo bundle; train one, or choose another file."
        )
    try:
        content = json.loads(metadata[METADATA_KEY], parse_constant=_refuse_constant)
    except (TypeError, ValueError, RecursionError) as error:
        raise BundleError(f"{file}: its contract is no JSON ({error}); the file is damaged.") from error
    number = content.get("format") if isinstance(content, dict) else None
    if type(number) is not int or number < 1:
        raise BundleError(f"{file}: its contract states no format number; the file is damaged or foreign.")
    if number > FORMAT:
        raise BundleError(f"{file} has bundle format {number}, this version knows up to {FORMAT}; update Terrazzo.")
    try:
        return Contract.model_validate(content)
    except ValidationError as error:
        raise BundleError(f"{file}: its contract is wrong: {_first_errors(error)}.") from error


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _read_header(file: Path) -> dict[str, Any]:
    """Read the safetensors header after its sizes proved plausible."""
    size = file.stat().st_size
    if size > LARGEST_FILE:
        raise BundleError(f"{file} has {size / 2**30:.0f} GiB; a bundle has at most {LARGEST_FILE // 2**30}.")
    with file.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size < 10 or length > min(LARGEST_HEADER, size - 8):
            raise BundleError(
                f"{file} is no safetensors file, or it is truncated ({size} bytes); copy or train it again."
            )
        try:
            header = json.loads(handle.read(length))
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{file} is no safetensors file, or it is damaged: {error}.") from error
    if not isinstance(header, dict):
        raise BundleError(f"{file} is no safetensors file: its header is no table.")
    return header


def _first_errors(error: ValidationError, most: int = 3) -> str:
    found = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
    return "; ".join(found[:most]) + (f"; and {len(found) - most} more" if len(found) > most else "")


def read_weights(file: Path, wanted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Read the weights after their names, shapes and types proved to be the network's.

    Args:
        file: The bundle.
        wanted: The network's own state.

    Raises:
        BundleError: The file is damaged, or a weight is missing, unknown, or of another shape or type.
    """
    try:
        with safe_open(file, framework="pt", device="cpu") as source:
            names = set(source.keys())
            _check_names(file, names, set(wanted))
            for name, expected in wanted.items():
                shape = list(source.get_slice(name).get_shape())
                if shape != list(expected.shape):
                    raise BundleError(
                        f"{file}: weight {name} has shape {shape}, the network needs {list(expected.shape)}."
                    )
            # Copies, because the file's own pages change under us if someone writes into it.
            weights = {name: source.get_tensor(name).clone() for name in wanted}
    except SafetensorError as error:
        raise BundleError(f"{file} is damaged or truncated: {error}; copy or train it again.") from error
    for name, expected in wanted.items():
        if weights[name].dtype != expected.dtype:
            raise BundleError(
                f"{file}: weight {name} has type {weights[name].dtype}, the network needs {expected.dtype}."
            )
    return weights


def _check_names(file: Path, found: set[str], wanted: set[str]) -> None:
    for names, verb in ((wanted - found, "lacks"), (found - wanted, "holds unknown")):
        if names:
            some = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
            raise BundleError(f"{file} {verb} {len(names)} weights ({some}); it does not fit its architecture.")


def require_finite(weights: Mapping[str, torch.Tensor], file: Path) -> None:
    """Refuse weights of a training that diverged.

    Raises:
        BundleError: A weight is infinite or not a number.
    """
    for name, weight in weights.items():
        if weight.is_floating_point() and not bool(torch.isfinite(weight).all()):
            raise BundleError(f"{file}: weight {name} holds values that are not finite; the training diverged.")
