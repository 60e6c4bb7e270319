"""Records, tables of names, plug-ins and families."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from terrazzo import record
from terrazzo.errors import ConfigError
from terrazzo.record import Component, Record, Table, family, load_plugin, nearest


class Range(Record):
    """Two limits."""

    low: float = 0.0
    """Lower limit."""


class Blur(Component):
    """Blurs."""

    name: Literal["blur"] = "blur"
    sigma: Annotated[float, Field(gt=0)] = 1.0
    """Width in pixels."""
    limits: Range = Range()
    """Where it applies."""


FILTERS = Table(
    "filters_for_tests",
    {
        "blur": f"{__name__}:Blur",
        "chain": f"{__name__}:Sequence",
        "broken": "terrazzo_no_such_package.inner:Thing",
        "astray": f"{__name__}:Missing",
        "alien": f"{__name__}:Range",
    },
)
WORKING = Table("working_filters_for_tests", {"blur": f"{__name__}:Blur", "chain": f"{__name__}:Sequence"})


class Sequence(Component):
    """Does several after each other."""

    name: Literal["chain"] = "chain"
    steps: tuple[Annotated[Component, family(WORKING)], ...] = ()
    """What is done."""


class Stranger(Component):
    """Belongs elsewhere."""

    name: Literal["stranger"] = "stranger"


class Settings(Record):
    """Settings of a room."""

    filter: Annotated[Component, family(WORKING)] = "blur"  # type: ignore[assignment]
    """The filter."""


@pytest.fixture(autouse=True)
def _tables_as_before() -> Iterator[None]:
    """Take back the names and modules that a test added."""
    entries = {name: dict(table._entries) for name, table in Table._all.items()}
    modules = set(sys.modules)
    yield
    for name in set(Table._all) - set(entries):
        del Table._all[name]
    for name, lines in entries.items():
        Table._all[name]._entries = lines
    for name in set(sys.modules) - modules:
        if name.startswith("terrazzo_plugin_"):
            del sys.modules[name]


def path_of(error: ValidationError) -> tuple[object, ...]:
    return error.errors()[0]["loc"]


class TestRecord:
    """What every record does."""

    def test_it_is_frozen(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            Range().low = 1.0

    def test_unknown_keys_are_errors(self) -> None:
        with pytest.raises(ValidationError, match="hihg") as caught:
            Range(hihg=1)
        assert path_of(caught.value) == ("hihg",)

    def test_defaults_are_checked_too(self) -> None:
        class Wrong(Record):
            size: Annotated[int, Field(gt=0)] = 0

        with pytest.raises(ValidationError, match="greater than 0"):
            Wrong()

    def test_the_sentence_under_a_field_describes_it(self) -> None:
        assert Range.model_fields["low"].description == "Lower limit."
        assert Blur.model_json_schema()["properties"]["sigma"]["description"] == "Width in pixels."

    def test_it_equals_what_it_was_dumped_as(self) -> None:
        blur = Blur(sigma=2.5, limits=Range(low=1))
        assert Blur.model_validate(blur.model_dump()) == blur
        assert blur.model_dump() == {"name": "blur", "sigma": 2.5, "limits": {"low": 1.0}}


class TestTable:
    """Names and what they stand for."""

    def test_names_are_sorted_and_listed_without_importing(self) -> None:
        assert FILTERS.names() == list(FILTERS) == ["alien", "astray", "blur", "broken", "chain"]
        assert "blur" in FILTERS
        assert "blurr" not in FILTERS
        assert 3 not in FILTERS

    def test_it_finds_a_record(self) -> None:
        assert FILTERS.find("blur") is Blur

    def test_an_unknown_name_brings_the_nearest_one(self) -> None:
        with pytest.raises(ConfigError, match=r'called "blurr".*Did you mean "blur"') as caught:
            FILTERS.find("blurr")
        assert "Known: alien, astray, blur, broken, chain" in str(caught.value)

    def test_a_name_like_no_other_brings_no_guess(self) -> None:
        with pytest.raises(ConfigError) as caught:
            FILTERS.find("zzzz")
        assert "Did you mean" not in str(caught.value)

    def test_a_missing_package_is_named(self) -> None:
        with pytest.raises(ConfigError, match='"broken" needs the package "terrazzo_no_such_package"'):
            FILTERS.find("broken")

    @pytest.mark.parametrize("name", ["astray", "alien"])
    def test_a_name_that_leads_to_no_component_is_refused(self, name: str) -> None:
        with pytest.raises(ConfigError, match="which is no Component"):
            FILTERS.find(name)

    def test_create_checks_the_settings(self) -> None:
        assert FILTERS.create("blur", sigma=3) == Blur(sigma=3)
        with pytest.raises(ValidationError, match="sigma"):
            FILTERS.create("blur", sigma=-1)

    def test_a_name_may_be_registered_again_for_the_same_class_only(self) -> None:
        FILTERS.register("mine", f"{__name__}:Blur")
        FILTERS.register("mine", f"{__name__}:Blur")
        with pytest.raises(ConfigError, match='"mine" is already'):
            FILTERS.register("mine", f"{__name__}:Sequence")

    def test_our_own_names_cannot_be_taken(self) -> None:
        with pytest.raises(ConfigError, match="must take another name"):
            FILTERS.register("blur", "mine:Blur")
        assert FILTERS.find("blur") is Blur

    def test_tables_are_found_by_family(self) -> None:
        assert Table.of("filters_for_tests") is FILTERS
        with pytest.raises(ConfigError, match=r'family "filter"; families are .*filters_for_tests'):
            Table.of("filter")

    def test_installed_packages_join_by_entry_point(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []

        def points(*, group: str) -> list[SimpleNamespace]:
            asked.append(group)
            return [SimpleNamespace(name="theirs", value=f"{__name__}:Blur")]

        monkeypatch.setattr(record, "entry_points", points)
        table = Table("spare_filters", {})
        assert table.names() == ["theirs"]
        assert table.find("theirs") is Blur
        assert asked == ["terrazzo.spare_filters"], "entry points are listed once"


class TestFamily:
    """A field that holds any member of a family."""

    @pytest.mark.parametrize(
        "given", ["blur", {"name": "blur"}, Blur(), {"name": "blur", "sigma": 1, "limits": {"low": 0}}]
    )
    def test_a_name_a_mapping_or_a_record_will_do(self, given: object) -> None:
        assert Settings(filter=given).filter == Blur()

    def test_the_default_is_resolved(self) -> None:
        assert Settings().filter == Blur()

    def test_what_is_dumped_is_read_back(self) -> None:
        settings = Settings(filter={"name": "chain", "steps": ["blur", {"name": "chain", "steps": ["blur"]}]})
        dumped = json.loads(json.dumps(settings.model_dump(mode="json")))
        assert Settings.model_validate(dumped) == settings
        assert dumped["filter"]["steps"][1]["steps"][0]["sigma"] == 1.0

    def test_an_unknown_name_is_an_error_at_its_place(self) -> None:
        with pytest.raises(ValidationError, match='Did you mean "blur"') as caught:
            Settings(filter="blurr")
        assert path_of(caught.value) == ("filter",)

    def test_keys_without_a_name_are_laid_over_the_default_component(self) -> None:
        class Room(Record):
            """Of its own default."""

            filter: Annotated[Component, family(WORKING)] = Blur(sigma=3.0)
            """The filter."""

        assert Room.model_validate({"filter": {"sigma": 2}}).filter == Blur(sigma=2.0)
        assert Room.model_validate({"filter": {"name": "chain"}}).filter == Sequence()
        with pytest.raises(ValidationError) as caught:
            Room.model_validate({"filter": {"sigm": 2}})
        assert path_of(caught.value) == ("filter", "sigm")

    @pytest.mark.parametrize("given", [3, {"sigma": 1}, None, ["blur"], {"name": 3}])
    def test_anything_else_says_what_is_expected(self, given: object) -> None:
        with pytest.raises(ValidationError, match="a name or a mapping with `name`; names are blur, chain"):
            Settings(filter=given)

    def test_errors_inside_keep_their_path(self) -> None:
        with pytest.raises(ValidationError) as caught:
            Settings(filter={"name": "chain", "steps": ["blur", {"name": "blur", "limits": {"low": "x", "lo": 1}}]})
        assert [error["loc"] for error in caught.value.errors()] == [
            ("filter", "steps", 1, "limits", "low"),
            ("filter", "steps", 1, "limits", "lo"),
        ]

    def test_a_component_of_another_family_is_refused(self) -> None:
        Table("other_filters", {"stranger": f"{__name__}:Stranger"})
        with pytest.raises(ValidationError, match='"stranger" is one of the other_filters, not of the working'):
            Settings(filter=Stranger())

    def test_a_component_that_no_table_lists_is_taken(self) -> None:
        class Homemade(Component):
            name: str = "homemade"

        assert Settings(filter=Homemade()).filter.name == "homemade"

    def test_the_schema_offers_names_and_each_members_fields(self) -> None:
        schema = Settings.model_json_schema()
        offered = schema["properties"]["filter"]["anyOf"]
        assert offered[0] == {"enum": ["blur", "chain"], "type": "string"}
        assert [choice["allOf"][1] for choice in offered[1:]] == [{"required": ["name"]}] * 2
        blur = schema["$defs"]["Blur"]
        assert blur["properties"]["name"]["const"] == "blur"
        assert blur["properties"]["sigma"]["exclusiveMinimum"] == 0
        assert blur["additionalProperties"] is False

    @pytest.mark.parametrize("described", [Settings, Sequence])
    def test_every_reference_in_the_schema_leads_somewhere(self, described: type[Record]) -> None:
        """A member with nested records, and one that holds members of its own family."""
        schema = described.model_json_schema()
        references = []

        def walk(part: object) -> None:
            if isinstance(part, dict):
                references.extend([part["$ref"]] if "$ref" in part else [])
                for inner in part.values():
                    walk(inner)
            elif isinstance(part, list):
                for inner in part:
                    walk(inner)

        walk(schema)
        assert {"#/$defs/Blur", "#/$defs/Range", "#/$defs/Sequence"} <= set(references)
        assert {reference.removeprefix("#/$defs/") for reference in references} <= set(schema["$defs"])


PLUGIN = """
from typing import Literal
from terrazzo.record import Component, Table

class Mine(Component):
    '''Mine.'''
    name: Literal["{name}"] = "{name}"
    size: int = {size}

Table.of("filters_for_tests").register("{name}", f"{{__name__}}:Mine")
"""


class TestPlugins:
    """Files that the user names."""

    @pytest.mark.parametrize("file", ["plugin.py", "my plugin.py", "Übung.v2.py"])
    def test_a_file_adds_its_components(self, file: str, tmp_path: Path) -> None:
        (tmp_path / file).write_text(PLUGIN.format(name="mine", size=3))
        load_plugin(tmp_path / file)
        assert FILTERS.create("mine").model_dump() == {"name": "mine", "size": 3}

    def test_naming_a_file_twice_is_fine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "plugin.py").write_text(PLUGIN.format(name="mine", size=3))
        load_plugin(tmp_path / "plugin.py")
        first = FILTERS.find("mine")
        monkeypatch.chdir(tmp_path)
        load_plugin(Path("plugin.py"))
        assert FILTERS.find("mine") is first

    def test_files_of_one_name_in_two_folders_are_two(self, tmp_path: Path) -> None:
        for name, size in [("first", 1), ("second", 2)]:
            (tmp_path / name).mkdir()
            (tmp_path / name / "plugin.py").write_text(PLUGIN.format(name=name, size=size))
            load_plugin(tmp_path / name / "plugin.py")
        assert FILTERS.create("first").model_dump()["size"] == 1
        assert FILTERS.create("second").model_dump()["size"] == 2

    @pytest.mark.parametrize("file", ["missing.py", "notes.txt", ""])
    def test_what_is_no_python_file_is_refused(self, file: str, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("x")
        with pytest.raises(ConfigError, match="is not a Python file"):
            load_plugin(tmp_path / file)

    @pytest.mark.parametrize(
        ("content", "said"),
        [("def broken(:", "invalid syntax"), ("import terrazzo_no_such_package", "No module named")],
    )
    def test_a_broken_file_says_why_and_can_be_mended(self, content: str, said: str, tmp_path: Path) -> None:
        (tmp_path / "plugin.py").write_text(content)
        with pytest.raises(ConfigError, match=rf"plugin\.py cannot be imported: {said}"):
            load_plugin(tmp_path / "plugin.py")
        (tmp_path / "plugin.py").write_text(PLUGIN.format(name="mine", size=30))
        load_plugin(tmp_path / "plugin.py")
        assert FILTERS.create("mine").model_dump()["size"] == 30

    def test_an_error_of_the_file_itself_is_not_hidden(self, tmp_path: Path) -> None:
        (tmp_path / "plugin.py").write_text("1 / 0")
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                load_plugin(tmp_path / "plugin.py")


@pytest.mark.parametrize(
    ("word", "hint"),
    [("epoch", ' Did you mean "epochs"?'), ("bach_size", ' Did you mean "batch_size"?'), ("xyz", ""), ("", "")],
)
def test_the_nearest_word(word: str, hint: str) -> None:
    assert nearest(word, ["epochs", "batch_size"]) == hint


def test_nothing_is_near_to_nothing() -> None:
    assert nearest("epochs", []) == ""
