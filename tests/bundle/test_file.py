"""A bundle's file is opened step by step: sizes first, then header, contract and weights."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from terrazzo.bundle import file as file_module
from terrazzo.bundle.file import bundle_file, read_contract, read_weights, require_finite
from terrazzo.errors import BundleError

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(4)}


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "ä b.safetensors"
    save_file(WEIGHTS, path)
    return path


def with_header(path: Path, header: bytes, length: int | None = None) -> Path:
    path.write_bytes((len(header) if length is None else length).to_bytes(8, "little") + header)
    return path


def test_a_file_or_a_run_folder(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.safetensors"
    with pytest.raises(BundleError, match="folder without bundle"):
        bundle_file(tmp_path)
    with pytest.raises(BundleError, match="does not exist"):
        bundle_file(bundle)
    bundle.touch()
    assert bundle_file(tmp_path) == bundle_file(bundle) == bundle


@pytest.mark.parametrize(
    ("header", "length", "message"),
    [
        (b"{}", 3, "truncated"),
        (b"{}", 2**63, "truncated"),
        (b"[]", None, "its header is no table"),
        (b"{}", None, "not a Terrazzo bundle"),
        (b'{"__metadata__": []}', None, "not a Terrazzo bundle"),
        (b'{"a"', None, "damaged"),
        (b"[" * 100_000, None, "damaged"),
        (b"\xff\xfe\xff", None, "damaged"),
    ],
)
def test_headers_of_foreign_files(tmp_path: Path, header: bytes, length: int | None, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        read_contract(with_header(tmp_path / "a.safetensors", header, length))


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        ("{", "no JSON"),
        ('{"format": NaN}', "NaN is not JSON"),
        ("[1]", "no format number"),
        ('{"format": true}', "no format number"),
        ('{"format": 7}', "format 7"),
        ('{"format": 1}', "architecture: Field required"),
    ],
)
def test_contracts_that_are_none(tmp_path: Path, contract: str, message: str) -> None:
    header = json.dumps({"__metadata__": {"terrazzo": contract}}).encode()
    with pytest.raises(BundleError, match=message):
        read_contract(with_header(tmp_path / "a.safetensors", header))


def test_sizes_are_checked_before_reading(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "LARGEST_FILE", 100)
    with pytest.raises(BundleError, match="at most"):
        read_contract(stored)
    monkeypatch.undo()
    monkeypatch.setattr(file_module, "LARGEST_HEADER", 100)
    with pytest.raises(BundleError, match="no safetensors file"):
        read_contract(stored)


def test_weights_come_back_as_copies(stored: Path) -> None:
    found = read_weights(stored, {name: torch.zeros_like(weight) for name, weight in WEIGHTS.items()})
    stored.write_bytes(b"\xff" * stored.stat().st_size)
    assert set(found) == set(WEIGHTS)
    assert all(torch.equal(found[name], weight) for name, weight in WEIGHTS.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a.weight": torch.zeros(3, 2)}, r"a\.weight has shape \[2, 3\], the network needs \[3, 2\]"),
        ({"count": torch.tensor(4.0)}, "count has type torch.int64, the network needs torch.float32"),
        ({"more": torch.zeros(1)}, r"lacks 1 weights \(more\)"),
        ({"count": None}, r"holds unknown 1 weights \(count\)"),
    ],
)
def test_weights_of_another_network(stored: Path, change: dict[str, torch.Tensor | None], message: str) -> None:
    wanted = {name: weight for name, weight in {**WEIGHTS, **change}.items() if weight is not None}
    with pytest.raises(BundleError, match=message):
        read_weights(stored, wanted)


def test_truncated_weights(stored: Path) -> None:
    stored.write_bytes(stored.read_bytes()[:-4])
    with pytest.raises(BundleError, match="damaged or truncated"):
        read_weights(stored, WEIGHTS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite(value: float) -> None:
    require_finite(WEIGHTS, Path("x"))
    with pytest.raises(BundleError, match="weight b holds values that are not finite"):
        require_finite({**WEIGHTS, "b": torch.tensor([0.0, value])}, Path("x"))
