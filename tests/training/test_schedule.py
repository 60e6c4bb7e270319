import math

import pytest
import torch
from pydantic import ValidationError

from terrazzo.training.schedule import SCHEDULES, Constant, Cosine, Exponential, OneCycle, Poly, Schedule, WarmedUp


def test_table_holds_every_schedule():
    assert SCHEDULES.names() == ["constant", "cosine", "exponential", "one_cycle", "poly"]
    assert all(issubclass(SCHEDULES.find(name), Schedule) for name in SCHEDULES)


def test_constant_stays_at_one():
    assert [Constant().factor(step, 10, 5) for step in range(12)] == [1.0] * 12


def test_warmup_rises_linearly_and_never_gives_zero():
    factors = [Constant(warmup_steps=4).factor(step, 10, 5) for step in range(6)]
    assert factors == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_warmup_in_epochs_follows_the_length_of_an_epoch():
    schedule = Constant(warmup_epochs=1.5)
    assert schedule.warmup(100, 10) == 15
    assert schedule.factor(0, 100, 10) == 1 / 15
    assert schedule.factor(14, 100, 10) == 1.0


def test_warmup_is_at_most_the_whole_run():
    schedule = Cosine(warmup_steps=50)
    assert [schedule.factor(step, 4, 4) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_both_kinds_of_warmup_are_refused():
    with pytest.raises(ValidationError, match="not both"):
        Cosine(warmup_steps=3, warmup_epochs=1)


def test_cosine_begins_at_one_after_warmup_and_ends_at_its_floor():
    schedule = Cosine(warmup_steps=2, floor=0.1)
    assert schedule.factor(2, 12, 12) == 1.0
    assert schedule.factor(7, 12, 12) == pytest.approx(0.55)
    assert schedule.factor(12, 12, 12) == pytest.approx(0.1)


def test_cosine_is_the_published_curve():
    for step in range(20):
        assert Cosine().factor(step, 20, 5) == pytest.approx((1 + math.cos(math.pi * step / 20)) / 2)


def test_poly_is_the_published_curve():
    for step in range(20):
        assert Poly().factor(step, 20, 5) == pytest.approx((1 - step / 20) ** 0.9)


def test_poly_keeps_its_floor():
    assert Poly(floor=0.2).factor(20, 20, 5) == pytest.approx(0.2)
    assert Poly(floor=1.0).factor(13, 20, 5) == 1.0


@pytest.mark.parametrize("schedule", [Constant(), Cosine(floor=0.05), Poly(), Poly(by="epoch"), Exponential()])
def test_steps_beyond_the_end_keep_the_last_factor(schedule):
    assert schedule.factor(25, 20, 5) == schedule.factor(20, 20, 5)


WARMED = (
    Cosine(warmup_steps=3),
    Poly(warmup_steps=3),
    Poly(warmup_steps=3, by="epoch"),
    Exponential(warmup_steps=3, gamma=0.5),
)


@pytest.mark.parametrize("schedule", WARMED)
def test_the_rate_never_rises_after_the_warmup(schedule):
    factors = [schedule.factor(step, 30, 10) for step in range(3, 31)]
    assert factors[0] == 1.0
    assert factors == sorted(factors, reverse=True)
    assert all(0 <= factor <= 1 for factor in factors)


def test_a_run_of_one_update_is_made_at_the_full_rate():
    schedules = (Constant(), Cosine(), Poly(), Poly(by="epoch"), Exponential(), OneCycle())
    assert [schedule.factor(0, 1, 1) for schedule in schedules] == [1.0] * 6


def test_poly_by_epoch_falls_at_the_end_of_epochs_alone():
    factors = [Poly(by="epoch").factor(step, 20, 5) for step in range(20)]
    assert factors == pytest.approx([(1 - step // 5 / 4) ** 0.9 for step in range(20)])


def test_exponential_is_torchs_curve():
    layer = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    theirs = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.998)
    for epoch in range(4):
        for step in range(5):
            assert Exponential().factor(5 * epoch + step, 20, 5) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


def test_exponential_by_step_loses_the_same_each_update_and_keeps_its_floor():
    schedule = Exponential(gamma=0.5, by="step", floor=0.2)
    assert [schedule.factor(step, 20, 2) for step in (0, 1, 2)] == pytest.approx([1.0, 0.5**0.5, 0.5])
    assert schedule.factor(19, 20, 2) == 0.2


@pytest.mark.parametrize("shape", ["cosine", "linear"])
@pytest.mark.parametrize(("total", "pct_start"), [(40, 0.3), (41, 0.3), (10, 0.05), (7, 0.5)])
def test_one_cycle_is_torchs_curve_without_its_momentum(shape, total, pct_start):
    settings = {"pct_start": pct_start, "div": 20.0, "final_div": 100.0}
    layer = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0, momentum=0.9)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=total,
        pct_start=pct_start,
        div_factor=20.0,
        final_div_factor=100.0,
        anneal_strategy="cos" if shape == "cosine" else "linear",
        cycle_momentum=False,
    )
    for step in range(total):
        found = OneCycle(shape=shape, **settings).factor(step, total, 5)
        if pct_start * total > 1:
            assert found == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        assert found + 1e-12 >= 1 / 2000
        optimizer.step()
        if step < total - 1:
            theirs.step()
    assert OneCycle(shape=shape, **settings).factor(total + 5, total, 5) == pytest.approx(1 / 2000)


def test_one_cycle_has_no_warmup_of_another_kind():
    with pytest.raises(ValidationError, match="warmup_steps"):
        OneCycle.model_validate({"warmup_steps": 3})


@pytest.mark.parametrize("settings", [{"warmup_steps": 0}, {"warmup_epochs": -1}, {"floor": 1.5}, {"power": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValidationError):
        Poly.model_validate(settings)


def test_the_base_has_no_decay():
    with pytest.raises(NotImplementedError, match="WarmedUp has no decay"):
        WarmedUp(name="none").factor(0, 2, 1)
    with pytest.raises(NotImplementedError, match="Schedule has no factor"):
        Schedule(name="none").factor(0, 2, 1)
