"""The contract is the same text for the same content, and no field of it is taken on trust."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from terrazzo.bundle.contract import FORMAT, Contract, FrozenBackbone, canonical, require_equal_bands
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import BundleError
from terrazzo.geo.bands import Band, Bands

CONTENT = {
    "format": 1,
    "architecture": {"name": "anything"},
    "bands": {"items": [{"name": "red"}]},
    "classes": {"items": ["land", "water"]},
    "normalisation": {"mean": [1.0], "std": [2.0]},
    "patch_size": 64,
    "resolution_m": None,
    "resize": None,
    "backbone": None,
    "training": {},
    "versions": {},
    "licence": "",
    "fingerprint": "0" * 64,
}
OPTIONAL = {"distribution", "calibration"}
DISTRIBUTION = {"quantiles": [[float(number) for number in range(9)]], "deviation": [2.0]}


def test_every_field_has_to_be_there() -> None:
    assert Contract.model_validate(CONTENT).format == FORMAT
    assert set(Contract.model_fields) - OPTIONAL == set(CONTENT)
    for name in CONTENT:
        with pytest.raises(ValidationError, match=name):
            Contract.model_validate({key: value for key, value in CONTENT.items() if key != name})
    with pytest.raises(ValidationError, match="code"):
        Contract.model_validate({**CONTENT, "code": "import os"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", 2),
        ("patch_size", 0),
        ("patch_size", 64.0),
        ("resolution_m", float("inf")),
        ("resolution_m", 0),
        ("fingerprint", "0" * 63),
        ("fingerprint", "G" * 64),
        ("backbone", {"identifier": "", "revision": "a", "sha256": "0" * 64}),
    ],
)
def test_values_out_of_range(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        Contract.model_validate({**CONTENT, name: value})


def test_one_mean_a_band() -> None:
    two = Bands(items=(Band(name="red"), Band(name="nir")))
    require_equal_bands(two, Normalisation(mean=(1.0, 2.0), std=(1.0, 1.0)))
    with pytest.raises(BundleError, match="2 bands and 1 means"):
        require_equal_bands(two, Normalisation(mean=(1.0,), std=(1.0,)))


def test_files_of_earlier_versions_state_no_distribution() -> None:
    assert Contract.model_validate(CONTENT).distribution is None
    stated = Contract.model_validate({**CONTENT, "distribution": DISTRIBUTION}).distribution
    assert stated is not None
    assert stated.quantiles[0][4] == 4.0


def test_quantiles_of_every_band() -> None:
    twice = {"quantiles": DISTRIBUTION["quantiles"] * 2, "deviation": [2.0, 2.0]}
    with pytest.raises(ValidationError, match="1 bands, but its distribution has quantiles of 2"):
        Contract.model_validate({**CONTENT, "distribution": twice})


def test_the_same_content_is_the_same_text() -> None:
    assert canonical({"b": [1, 2.5, None], "a": "wälder"}) == '{"a":"wälder","b":[1,2.5,null]}'
    assert canonical({"a": 1, "b": {"d": 1, "c": 2}}) == canonical({"b": {"c": 2, "d": 1}, "a": 1})
    assert json.loads(canonical(CONTENT)) == CONTENT


@pytest.mark.parametrize("content", [float("nan"), {"a": [float("inf")]}, {"a": Path("x")}, {"a": {1, 2}}])
def test_what_json_cannot_hold(content: object) -> None:
    with pytest.raises(BundleError, match="plain finite data"):
        canonical(content)


def test_a_backbone_is_known_by_its_content(tmp_path: Path) -> None:
    # SHA-256 of "abc", as FIPS 180-2 prints it.
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    backbone = FrozenBackbone(identifier="a/b", revision="1", sha256=known)
    path = tmp_path / "weights ä.safetensors"
    path.write_bytes(b"abc")
    backbone.check(path)
    path.write_bytes(b"abd")
    with pytest.raises(BundleError, match="give that very file"):
        backbone.check(path)
    with pytest.raises(BundleError, match="holds neither"):
        backbone.check(tmp_path)
