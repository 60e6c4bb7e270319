"""XML is read whole, and never with entities."""

import pytest

from terrazzo.data.sources import plain_xml
from terrazzo.data.sources.plain_xml import read_xml
from terrazzo.errors import DataError

BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><a>&c;</a>'
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'
REMOTE = '<?xml version="1.0"?><!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>'


def test_elements_attributes_text_and_namespaces(tmp_path):
    path = tmp_path / "ä b.xml"
    path.write_text('<n:a xmlns:n="urn:x"><b c="1">ü &amp; &#65;</b>tail</n:a>', encoding="utf-8")
    root = read_xml(path)
    assert root.tag == "{urn:x}a"
    assert (root[0].tag, root[0].attrib, root[0].text, root[0].tail) == ("b", {"c": "1"}, "ü & A", "tail")


@pytest.mark.parametrize("text", [BOMB, OUTSIDE, REMOTE])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_document_types_are_refused_in_any_encoding(tmp_path, text, encoding):
    path = tmp_path / "a.xml"
    path.write_text(text, encoding=encoding)
    with pytest.raises(DataError, match=r"a\.xml declares a document type or entities"):
        read_xml(path)


@pytest.mark.parametrize("text", ["", "no XML", "<a><b></a>", "<a>&undeclared;</a>", "<a>"])
def test_what_is_no_whole_xml(tmp_path, text):
    path = tmp_path / "a.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.xml is no complete XML file"):
        read_xml(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.xml cannot be read: No such file"):
        read_xml(tmp_path / "none.xml")


def test_a_file_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(plain_xml, "LARGEST_BYTES", 2**20)
    path = tmp_path / "a.xml"
    path.write_bytes(b" " * (2**20 + 1))
    with pytest.raises(DataError, match="more than 1 MiB"):
        read_xml(path)
