"""The workforce that the settings ask for, with all that it needs."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from terrazzo.bundle import Bundle
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.workforce import choice
from terrazzo.scene.workforce.choice import choose_workforce
from terrazzo.scene.workforce.finishing import finish_strips
from terrazzo.scene.workforce.inline import InlineWorkforce
from terrazzo.scene.workforce.local import LocalWorkforce
from terrazzo.scene.workforce.workforce import Workforce

Tiny = Any


def chosen(tiny: Tiny, forward: WindowForward | None = None, **settings: object) -> AbstractContextManager[Workforce]:
    """Choose for a job whose bundle is kept in the journal's folder."""
    job = tiny.job.model_copy(
        update={
            "settings": tiny.job.settings.model_copy(update=settings),
            "bundle": tiny.job.folder / "bundle.safetensors",
        }
    )
    bundle = Bundle.load(tiny.job.bundle)
    return choose_workforce(
        job, bundle, plan=tiny.plan, products=tiny.products, forward=forward, rows=lambda: tiny.source()
    )


def records_of(tiny: Tiny, workforce: Workforce) -> dict[int, StripRecord]:
    journal = tiny.journal()
    finish_strips(
        workforce,
        tiny.job,
        journal,
        tiny.plan.strips,
        advance=lambda _windows: None,
        finished=lambda: None,
        note=lambda _line: None,
    )
    return dict(journal.records)


def test_one_worker_is_this_process_and_needs_no_file(tiny: Tiny) -> None:
    tiny.journal()
    with chosen(tiny) as workforce:
        assert isinstance(workforce, InlineWorkforce)
        assert not (tiny.job.folder / "bundle.safetensors").exists()
        assert len(records_of(tiny, workforce)) == len(tiny.plan.strips)


def test_a_network_that_is_ready_is_used(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.load(tiny.job.bundle)
    ready = WindowForward(bundle, tiny.job.settings, tiny.job.header.decisions, tiny.products, margin=0, lanes=2)
    expected = tiny.pixels(records_of(tiny, InlineWorkforce()))
    monkeypatch.setattr(choice, "WindowForward", None)
    with chosen(tiny, ready) as workforce:
        assert tiny.pixels(records_of(tiny, workforce)) == expected


def test_several_workers_find_the_bundle(tiny: Tiny) -> None:
    tiny.journal()
    with chosen(tiny, workers=2) as workforce:
        assert isinstance(workforce, LocalWorkforce)
        kept = Bundle.load(tiny.job.folder / "bundle.safetensors")
    assert kept.fingerprint == tiny.job.header.request.weights


def test_a_whole_bundle_is_not_written_again(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.journal()
    with chosen(tiny, workers=2):
        pass
    monkeypatch.setattr(Bundle, "save", None)
    with chosen(tiny, workers=2):
        pass


@pytest.mark.parametrize("damage", ["cut", "flipped", "another"])
def test_what_is_not_that_bundle_is_replaced(damage: str, tiny: Tiny, make_bundle: Callable[..., Bundle]) -> None:
    tiny.journal()
    path = tiny.job.folder / "bundle.safetensors"
    whole = tiny.job.bundle.read_bytes()
    if damage == "another":
        make_bundle("probe_convolution", classes=4, settings={"depth": 1}).save(path)
    else:
        path.write_bytes(whole[:-3] if damage == "cut" else whole[:-3] + bytes([whole[-3] ^ 4]) + whole[-2:])
    with chosen(tiny, workers=2):
        assert Bundle.load(path).fingerprint == tiny.job.header.request.weights


def test_ray_is_named_where_it_is_asked_for(tiny: Tiny) -> None:
    tiny.journal()
    with chosen(tiny, executor="ray") as workforce:
        assert type(workforce).__name__ == "RayWorkforce"
        assert (tiny.job.folder / "bundle.safetensors").exists()
