"""Settings of data: what fits together and what does not."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from terrazzo.data.settings import BandSettings, DataSettings, PatchSettings, PrepareSettings, SplitSettings
from terrazzo.data.sources.folder import FolderSource
from terrazzo.geo.bands import Collar


@pytest.mark.parametrize(
    ("settings", "step"),
    [({}, 256), ({"size": 8, "stride": 3}, 3), ({"size": 8, "overlap": 2}, 6), ({"size": 8, "stride": 20}, 20)],
)
def test_step(settings, step):
    assert PatchSettings(**settings).step == step


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stride": 4, "overlap": 0}, "not both"),
        ({"size": 8, "overlap": 8}, "leaves no step"),
        ({"size": 0}, "greater than or equal to 1"),
        ({"stride": 0}, "greater than or equal to 1"),
        ({"overlap": -1}, "greater than or equal to 0"),
    ],
)
def test_patch_settings_that_contradict(settings, message):
    with pytest.raises(ValidationError, match=message):
        PatchSettings(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fractions": {"train": 1.0}, "regions": {"train": ["a"]}}, "regions and fractions"),
        ({"fractions": {"train": 0.5}}, "sum to 1, not 0.5"),
        ({"fractions": {"train": 1.5, "val": -0.5}}, "less than or equal to 1"),
        ({"fractions": {"training": 1.0}}, "train"),
        ({"regions": {"train": ["a"], "test": ["a"]}}, 'region "a" is in train and in test'),
    ],
)
def test_split_settings_that_contradict(settings, message):
    with pytest.raises(ValidationError, match=message):
        SplitSettings(**settings)


def test_data_settings_from_plain_values_and_back(tmp_path):
    data = DataSettings.model_validate(
        {
            "source": {"name": "folder", "folder": str(tmp_path), "images": "a/*.png", "labels": "b/*.png"},
            "classes": ["x", {"name": "y", "colour": "#010203"}],
            "bands": ["red", {"name": "nir", "number": 4}],
            "patch": {"size": 64, "overlap": 8},
            "split": {"regions": {"train": ["Tile 1"]}},
        }
    )
    assert isinstance(data.source, FolderSource)
    assert data.bands == ("red", BandSettings(name="nir", number=4))
    assert data.max_ignored_share == 0.9
    assert DataSettings.model_validate(data.model_dump()) == data
    assert DataSettings.model_validate_json(data.model_dump_json()) == data


def test_an_unknown_source_names_the_nearest(tmp_path):
    with pytest.raises(ValidationError, match='Did you mean "folder"'):
        DataSettings.model_validate({"source": {"name": "foldr", "folder": str(tmp_path)}, "classes": ["a", "b"]})


def test_prepare_settings():
    assert PrepareSettings().enable
    with pytest.raises(ValidationError):
        PrepareSettings(preview=-1)


def test_every_setting_is_documented():
    for record in (BandSettings, DataSettings, PatchSettings, PrepareSettings, SplitSettings, FolderSource):
        assert [name for name, field in record.model_fields.items() if not field.description] == []


def test_classes_that_a_source_knows_need_not_be_given(tmp_path):
    source = {"name": "camvid", "folder": str(tmp_path)}
    known = DataSettings.model_validate({"source": source})
    assert known.classes.names[:3] == ("sky", "building", "pole")
    assert DataSettings.model_validate({"source": source, "classes": None}) == known
    assert DataSettings.model_validate_json(known.model_dump_json()) == known
    changed = DataSettings.model_validate({"source": source, "classes": {"ignore_values": [11, 255]}})
    assert changed.classes.ignore_values == (11, 255)
    assert changed.classes.items == known.classes.items
    assert DataSettings.model_validate({"source": source, "classes": ["a", "b"]}).classes.names == ("a", "b")


def test_other_sources_need_classes(tmp_path):
    for classes in ({}, {"classes": None}, {"classes": {"unlisted": "ignore"}}):
        with pytest.raises(ValidationError, match="classes"):
            DataSettings.model_validate({"source": {"name": "folder", "folder": str(tmp_path)}, **classes})
    with pytest.raises(ValidationError) as caught:
        DataSettings.model_validate({"source": {"name": "folder", "folder": 3}})
    assert [error["loc"] for error in caught.value.errors()] == [("source", "folder"), ("classes",)]


def test_the_schema_lets_classes_be_left_out():
    assert DataSettings.model_json_schema()["required"] == ["source"]


def test_resolution_and_collar():
    given = {"source": {"name": "folder", "folder": "x"}, "classes": ["a", "b"]}
    data = DataSettings.model_validate({**given, "resolution_m": 0.5, "collar": {"value": 0, "nodata_tolerance": 6}})
    assert data.resolution_m == 0.5
    assert data.collar == Collar(value=0, nodata_tolerance=6)
    assert DataSettings.model_validate(given).collar is DataSettings.model_validate(given).resolution_m is None
    for wrong in ({"resolution_m": 0}, {"collar": {"nodata_tolerance": 6}}, {"collar": {"value": 0, "tolerance": 6}}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            DataSettings.model_validate({**given, **wrong})


def test_settings_and_what_verifies_need_no_torch():
    """It takes seconds to import, in each process that looks at files."""
    code = "import sys, terrazzo.data.settings, terrazzo.data.verify.pool; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
