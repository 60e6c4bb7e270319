"""The site is built without a warning, is whole, and asks no other host for anything."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import typer
import yaml

from terrazzo.cli.application import application
from terrazzo.config.run_config import RunConfig
from terrazzo.record import Table

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LOADED = {("script", "src"), ("link", "href"), ("img", "src"), ("source", "src"), ("iframe", "src"), ("object", "data")}
"""What a browser fetches by itself."""


class Page(HTMLParser):
    """Collects names that links can point at, links, what a browser fetches, and paragraphs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.paragraphs: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if value and name in {"id", "name"}:
                self.names.add(value)
            elif value and (tag, name) == ("a", "href"):
                self.links.append(value)
            elif value and (tag, name) in LOADED and not (tag == "link" and ("rel", "canonical") in attributes):
                self.fetched.append(value)
        if tag == "p":
            self._inside = True
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside &= tag != "p"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.paragraphs[-1] += data


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The hook that writes the references."""
    spec = importlib.util.spec_from_file_location("site_reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def leaves(entry: Any) -> Iterator[str]:
    """Yield the files of a part of the navigation."""
    if isinstance(entry, str):
        yield entry
    for inner in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
        yield from leaves(inner)


def test_every_page_has_its_place_and_every_place_its_page() -> None:
    listed = list(leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    assert sorted(listed) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_a_browser_is_sent_to_no_other_host(site: Path, pages: dict[Path, Page]) -> None:
    assert len(pages) > 30
    for path, page in pages.items():
        assert [one for one in page.fetched if urlsplit(one).scheme or one.startswith("//")] == [], path
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style.read_text(encoding="utf-8")), style


def test_every_link_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        if path.name == "404.html":  # its links begin at the root of a server
            continue
        for link in [*page.links, *page.fetched]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link == ".":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_relative_to(site.resolve()), f"{path.name}: {link}"
            assert target.exists(), f"{path.name}: {link}"
            if parts.fragment and target.suffix == ".html" and not parts.fragment.startswith("__"):
                assert unquote(parts.fragment) in pages[target].names, f"{path.name}: {link}"


def test_every_link_of_the_files_outside_leads_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"):
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            assert urlsplit(link).scheme or (ROOT / link).exists(), f"{page.name}: {link}"


def test_every_picture_is_shown_somewhere() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in [*DOCS.rglob("*.md"), ROOT / "README.md"])
    assert [path.name for path in (DOCS / "images").iterdir() if path.name not in text] == []


def test_lists_and_tables_are_no_paragraphs(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        lost = [text for text in page.paragraphs if re.search(r"^([-*] |\d+\. |\|.*\|$)", text, re.MULTILINE)]
        assert lost == [], path.name


def test_the_references_name_everything(reference: ModuleType) -> None:
    commands = reference.commands()
    root = typer.main.get_command(application)
    for name in root.commands:  # type: ignore[attr-defined]
        assert f"## terrazzo {name}" in commands
    assert "`--threshold <float range>`" in commands
    settings = reference.settings()
    assert all(f"`{name}" in settings or f"## {name}" in settings for name in RunConfig.model_fields)
    assert "| `train.epochs` | whole number |" in settings
    assert "| `model` | one of the [models](components.md#models) | must be given |" in settings
    components = reference.components()
    for family in ("models", "losses", "sources"):
        assert all(f"{{#{family}-{name}}}" in components for name in Table.of(family))


def test_lists_are_set_apart(reference: ModuleType) -> None:
    assert reference.set_apart("a\n- b\n- c\n\n- d") == "a\n\n- b\n- c\n\n- d"
    assert reference.set_apart("```\na\n- b\n```\nc") == "```\na\n- b\n```\nc"
    assert reference.on_page_markdown("plain") == "plain"
