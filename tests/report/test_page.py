import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from terrazzo.errors import DataError, StorageError
from terrazzo.report import write_report
from terrazzo.report.page import TITLES

MakeRun = Callable[..., Path]
Parse = Callable[[str], Any]
HARMFUL = '<script>alert(1)</script><img src="https://evil.example/x.png" onerror=alert(2)>"\'&'
MANY = [f"mixed broad-leaved and coniferous woodland {index}" for index in range(25)]


def written(folder: Path) -> str:
    page = write_report(folder)
    assert page == folder / "report.html"
    return page.read_text(encoding="utf-8")


def require_offline(page: Any) -> None:
    """Require that no element leads outside and none runs anything."""
    assert not {name for name, _ in page.elements} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for name, attributes in page.elements:
        for key, value in attributes.items():
            assert not key.startswith("on"), (name, key)
            if key == "src":
                assert value.startswith("data:image/png;base64,"), name
            if key in ("href", "xlink:href", "action", "data", "srcset", "poster"):
                assert value.startswith("#"), (name, value)
            if key == "style":
                assert "url(" not in value
    style = "".join(text for element, text in page.texts if element == "style")
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize(
    ("names", "epochs", "evaluated"),
    [
        (("background", "building"), 1, ("val",)),
        (("sky", "building", "road", "tree", "car", "sign symbol"), 30, ("test", "val")),
        (MANY, 300, ("test",)),
        (("a", "b", "c"), 5, ()),
        (("only",), 2, ("val",)),
    ],
)
def test_a_page_is_whole_and_stays_at_home(
    make_run: MakeRun, parse: Parse, names: tuple[str, ...], epochs: int, evaluated: tuple[str, ...]
) -> None:
    text = written(make_run(names, epochs=epochs, evaluated=evaluated))
    page = parse(re.sub(r"<(meta)([^>]*)/>", r"<\1\2></\1>", text))
    require_offline(page)
    assert "nan" not in re.sub(r"data:[^\"]*", "", text).lower().replace("finance", "")
    assert page.all("html")[0]["lang"] == "en"
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [link["href"].removeprefix("#") for link in page.all("a")] == [title.lower() for title in TITLES]
    assert {title.lower() for title in TITLES} <= set(ids)
    assert len(page.all("table")) == len(page.all("caption"))
    assert all("scope" in head for head in page.all("th"))
    assert all(picture["alt"] for picture in page.all("img"))
    assert all(picture.get("aria-label") for picture in page.all("svg", role="img"))


def test_the_policy_forbids_scripts_and_the_network(make_run: MakeRun, parse: Parse) -> None:
    page = parse(written(make_run()))
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert "script-src" not in policy
    assert page.elements.index(("meta", page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0])) < [
        name for name, _ in page.elements
    ].index("style")


def test_no_address_stands_in_a_page_unless_the_user_wrote_it(make_run: MakeRun) -> None:
    assert not re.search(r"(?i)\b(https?:)?//", re.sub(r"data:[^\"]*", "", written(make_run())))


def test_harmful_names_are_only_text_everywhere(make_run: MakeRun, parse: Parse) -> None:
    folder = make_run((HARMFUL, "b", HARMFUL + "2"), evaluated=("val", "test"))
    for name in ("summary.json", "metadata.json"):
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        content |= {"name": HARMFUL, "run": HARMFUL, "host": HARMFUL, "time": HARMFUL}
        if "phases" in content:
            content["phases"][0] |= {"name": HARMFUL, "skipped": HARMFUL}
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    predicted = {"maps": [{"out": HARMFUL, "warnings": [HARMFUL], "class_pixels": [1, 2, 3]}]}
    (folder / "predict" / "summary.json").write_text(json.dumps(predicted), encoding="utf-8")
    (folder / "config.yaml").write_text(f"</pre></details>{HARMFUL}", encoding="utf-8")
    page = parse(written(folder))
    require_offline(page)
    assert page.text.count("<script>alert(1)</script>") > 20


def test_a_class_name_cannot_leave_an_attribute(make_run: MakeRun, parse: Parse) -> None:
    page = parse(written(make_run(('"><script>', "b", "c"))))
    require_offline(page)
    assert any('"><script>' in (cell.get("title") or "") for cell in page.all("td"))


def test_names_that_no_text_can_hold_are_replaced(make_run: MakeRun) -> None:
    folder = make_run()
    content = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    content["warnings"] = ["\udcff.tif is damaged"]
    (folder / "data.json").write_text(json.dumps(content), encoding="utf-8")
    assert "?.tif is damaged" in written(folder)


def test_a_run_that_was_only_trained_says_what_is_missing(make_run: MakeRun) -> None:
    text = written(make_run(evaluated=()))
    assert "No split has been evaluated" in text
    assert "No scene has been mapped" in text
    assert "No times by phase" in text


@pytest.mark.parametrize("name", ["log.csv", "config.yaml", "metadata.json", "data.json", "summary.json"])
def test_one_file_alone_makes_a_page(make_run: MakeRun, parse: Parse, tmp_path: Path, name: str) -> None:
    source = make_run()
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / name).write_bytes((source / name).read_bytes())
    page = parse(written(alone))
    assert len(page.all("p", class_="missing")) >= 4


@pytest.mark.parametrize("content", ["[]", "{}", "null", '{"classes": {"a": 1}, "phases": 3, "maps": {}}', "{", "\x00"])
def test_files_of_another_shape_stop_no_page(make_run: MakeRun, parse: Parse, content: str) -> None:
    folder = make_run()
    for path in [*folder.glob("*.json"), *folder.glob("*/summary.json"), *folder.glob("*/*/summary.json")]:
        path.write_text(content, encoding="utf-8")
    (folder / "log.csv").write_text(content, encoding="utf-8")
    parse(written(folder))


def test_damaged_files_are_named_on_top(make_run: MakeRun, parse: Parse) -> None:
    folder = make_run()
    (folder / "data.json").write_text("{", encoding="utf-8")
    page = parse(written(folder))
    assert f"{folder / 'data.json'} cannot be read as JSON" in page.text


def test_an_empty_folder_is_refused_and_left_empty(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing of a run"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written_is_an_error(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "report.html").mkdir()
    (folder / "report.html" / "in the way").write_bytes(b"")
    with pytest.raises(StorageError):
        write_report(folder)


def test_writing_again_replaces_the_page_and_leaves_nothing_behind(make_run: MakeRun) -> None:
    folder = make_run(folder=None)
    first = written(folder)
    before = sorted(path.name for path in folder.iterdir())
    assert written(folder) == first
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_folder_with_spaces_and_accents(make_run: MakeRun, tmp_path: Path) -> None:
    assert "<title>camvid · Terrazzo</title>" in written(make_run(folder=tmp_path / "läufe" / "a b"))


def test_a_large_run_is_written_within_a_second(make_run: MakeRun) -> None:
    folder = make_run(MANY, epochs=300)
    begun = time.process_time()
    page = write_report(folder)
    assert time.process_time() - begun < 1.0
    assert page.stat().st_size < 1_500_000


def test_the_room_loads_neither_torch_nor_rasterio() -> None:
    code = "import sys, terrazzo.report; print(sorted({'torch', 'rasterio', 'pandas', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
