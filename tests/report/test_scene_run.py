"""The parts of a map's page about how it came about."""

from collections.abc import Callable
from typing import Any

from terrazzo.data.distribution import QUANTILE_SHARES
from terrazzo.report.scene_run import HIGH, LOW, MIDDLE, drift_section, provenance_section, timing_section
from terrazzo.scene.drift import DriftReport
from terrazzo.scene.quality import SceneQuality
from terrazzo.scene.summary import SceneSummary

Parse = Callable[[str], Any]
Quality = Callable[..., SceneQuality]
Summary = Callable[..., SceneSummary]


class TestDrift:
    def test_bands_stand_beside_the_training(self, quality: Quality, parse: Parse) -> None:
        assert [QUANTILE_SHARES[place] for place in (LOW, MIDDLE, HIGH)] == [0.05, 0.5, 0.95]
        page = parse(drift_section(quality().drift))
        for told in ("red", "1.75", "4", "14", "2 to 6", "12 to 16", "5 000 pixels", "red lies elsewhere"):
            assert told in page.text, told

    def test_what_could_not_be_told_says_why(self) -> None:
        untold = DriftReport(bands=(), pixels=0, note="no drift check: the model file states no distribution")
        assert "No drift check: the model file states no distribution." in drift_section(untold)
        assert "were not compared" in drift_section(None)


class TestTiming:
    def test_stages_device_and_what_was_left_out(self, summary: Summary, parse: Parse) -> None:
        page = parse(timing_section(summary()))
        for told in (
            "computing windows", "1 min 00 s", "polygons", "0.5 s", "93 %", "cpu, bfloat16", "4 windows",
            "63, of which 4 without data", "5, of which 2 from an earlier start", "2.50 in the mean",
            "block is damaged", "512", "256", "0.16 million pixels a second",
        ):  # fmt: skip
            assert told in page.text, told

    def test_compiled_is_said(self, summary: Summary) -> None:
        decisions = summary().decisions.model_copy(update={"compiled": True, "device": "cuda"})
        assert "cuda, bfloat16, compiled" in timing_section(summary(decisions=decisions))

    def test_many_unreadable_parts_are_cut_short(self, summary: Summary) -> None:
        parts = tuple((y, 0, 1, 1, f"reason {y}") for y in range(30))
        text = timing_section(summary(unreadable=parts))
        assert "30 parts of the scene could not be read" in text
        assert "reason 19" in text
        assert "reason 20" not in text
        assert "And 10 more." in text

    def test_bars_are_shares_of_all_the_time(self, summary: Summary, parse: Parse) -> None:
        page = parse(timing_section(summary()))
        widths = [one["style"] for name, one in page.elements if name == "span" and "width" in (one.get("style") or "")]
        assert widths == ["width:6.7%", "width:80.0%", "width:13.3%", "width:0.7%"]


def test_provenance(parse: Parse) -> None:
    page = parse(provenance_section({"TERRAZZO_BUNDLE": "3f2a", "TERRAZZO_SCENE": "a < b"}))
    assert [text for element, text in page.texts if element == "td"] == ["3f2a", "a < b"]
    assert "Nothing is known" in provenance_section({})
