"""Quantification and offsets of Sentinel-2 metadata."""

import pytest

from terrazzo.data.sources.safe_metadata import read_radiometry
from terrazzo.errors import DataError


def write(path, body):
    path.write_text(f'<n1:P xmlns:n1="urn:p">{body}</n1:P>', encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("level", "quantity", "offset"),
    [
        ("L1C", "QUANTIFICATION_VALUE", "RADIO_ADD_OFFSET"),
        ("L2A", "BOA_QUANTIFICATION_VALUE", "BOA_ADD_OFFSET"),
        ("L2A", "L2A_BOA_QUANTIFICATION_VALUE", "BOA_ADD_OFFSET"),
    ],
)
def test_offsets_by_band(tmp_path, level, quantity, offset):
    body = f'<{quantity}>10000</{quantity}><{offset} band_id="3">-1000</{offset}><{offset} band_id="8">-500</{offset}>'
    found = read_radiometry(write(tmp_path / "MTD.xml", body), level=level)
    assert found.scale == pytest.approx(1e-4)
    assert [found.offset(band) for band in ("B04", "B8A", "B02")] == pytest.approx([-0.1, -0.05, 0.0])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "names no BOA_QUANTIFICATION_VALUE"),
        ("<QUANTIFICATION_VALUE>10000</QUANTIFICATION_VALUE>", "names no BOA_QUANTIFICATION_VALUE"),
        ("<BOA_QUANTIFICATION_VALUE>many</BOA_QUANTIFICATION_VALUE>", 'is "many", which is no number'),
        ("<BOA_QUANTIFICATION_VALUE>0</BOA_QUANTIFICATION_VALUE>", "is 0, but must be above 0"),
        (
            '<BOA_QUANTIFICATION_VALUE>1</BOA_QUANTIFICATION_VALUE><BOA_ADD_OFFSET band_id="13">1</BOA_ADD_OFFSET>',
            'band_id "13"; expected 0 to 12',
        ),
        (
            "<PROCESSING_BASELINE>05.09</PROCESSING_BASELINE><BOA_QUANTIFICATION_VALUE>1</BOA_QUANTIFICATION_VALUE>",
            r"baseline 05\.09.*names no BOA_ADD_OFFSET",
        ),
    ],
)
def test_damaged_metadata(tmp_path, body, message):
    with pytest.raises(DataError, match=message):
        read_radiometry(write(tmp_path / "MTD.xml", body), level="L2A")


def test_a_baseline_before_the_shift_has_no_offset(tmp_path):
    body = "<PROCESSING_BASELINE>03.01</PROCESSING_BASELINE><QUANTIFICATION_VALUE>10000</QUANTIFICATION_VALUE>"
    assert read_radiometry(write(tmp_path / "MTD.xml", body), level="L1C").offset("B04") == 0
