"""A layout makes its source."""

import pytest
from pydantic import ValidationError

from terrazzo.data.recognise.layout import Layout
from terrazzo.data.sources.folder import FolderSource
from terrazzo.errors import ConfigError


def test_it_makes_its_source(tmp_path):
    assert Layout("a", {"name": "folder", "folder": tmp_path}).make() == FolderSource(folder=tmp_path)


def test_settings_that_do_not_fit(tmp_path):
    with pytest.raises(ValidationError):
        Layout("a", {"name": "folder", "folder": tmp_path, "wrong": 1}).make()
    with pytest.raises(ConfigError, match="foldr"):
        Layout("a", {"name": "foldr"}).make()
