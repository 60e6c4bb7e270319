"""Addresses: how GDAL opens them, what of them is shown, and under which settings they are read."""

import pytest
import rasterio
from rasterio.env import getenv

from terrazzo.scene.inputs.addresses import as_opened, as_shown, bare_name, is_address, is_remote, remote_access


@pytest.mark.parametrize(
    ("given", "opened"),
    [
        ("https://a.org/x.tif", "/vsicurl/https://a.org/x.tif"),
        ("http:/a.org/x.tif", "/vsicurl/http://a.org/x.tif"),
        ("HTTPS://a.org/x.tif", "/vsicurl/HTTPS://a.org/x.tif"),
        ("s3://b/x y.tif", "/vsis3/b/x y.tif"),
        ("s3:/b/x.tif", "/vsis3/b/x.tif"),
        ("gs://b/x.tif", "/vsigs/b/x.tif"),
        ("az://c/x.tif", "/vsiaz/c/x.tif"),
        ("zip+https://a.org/x.zip!y.tif", "zip+https://a.org/x.zip!y.tif"),
        ("/vsis3/b/x.tif", "/vsis3/b/x.tif"),
    ],
)
def test_gdals_name(given: str, opened: str) -> None:
    assert is_address(given)
    assert as_opened(given) == opened


@pytest.mark.parametrize("given", ["a.tif", "/data/a.tif", "file:///a.tif", "C:/a.tif", 'NETCDF:"a.nc":x', "a:b.tif"])
def test_names_of_this_machine_are_no_addresses(given: str) -> None:
    assert not is_address(given)


def test_what_asks_a_server() -> None:
    assert is_remote("/vsicurl/https://a.org/x.tif")
    assert is_remote("/vsizip//vsis3/b/x.zip/y.tif")
    assert not is_remote("/vsizip/x.zip/y.tif")
    assert not is_remote("/data/x.tif")


def test_secrets_are_not_shown() -> None:
    message = "'/vsicurl/https://me:word@a.org/x.tif?Signature=a%2Fb&Expires=1' cannot be read: 403"
    assert as_shown(message) == "'/vsicurl/https://a.org/x.tif' cannot be read: 403"
    assert as_shown("what? a@b.tif cannot be read") == "what? a@b.tif cannot be read"


def test_names_of_maps() -> None:
    assert bare_name("/vsicurl/https://a.org/p/S2%C3%A9.tif?x=/y.tif") == "S2é"
    assert bare_name("/vsis3/bucket/x.y.tif") == "x.y"
    assert bare_name("https://a.org/") == "scene"


def test_what_the_environment_says_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_CONNECTTIMEOUT", "7")
    with remote_access() as access:
        assert isinstance(access, rasterio.Env)
        options = getenv()
    assert "GDAL_HTTP_CONNECTTIMEOUT" not in options
    assert options["GDAL_HTTP_LOW_SPEED_TIME"] == "60"
