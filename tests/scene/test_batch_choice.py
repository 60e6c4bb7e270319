"""The batch is doubled as long as that pays, fits and there is time."""

import pytest

from terrazzo.errors import OutOfMemoryError
from terrazzo.scene.batch_choice import choose_batch


def choice(rates, *, fits=lambda _batch: True, goes_on=lambda: True):
    return choose_batch(rates.__getitem__, worth=1.05, fits=fits, goes_on=goes_on)


def test_the_fastest_is_taken_where_it_is_worth_its_size():
    found = choice({1: 10.0, 2: 15.0, 4: 20.0, 8: 20.9})
    assert (found.batch, found.rate) == (4, 20.0)
    assert found.rates == ((1, 10.0), (2, 15.0), (4, 20.0), (8, 20.9))


def test_what_is_slower_ends_the_search():
    assert choice({1: 10.0, 2: 9.0}).batch == 1


def test_how_much_faster_a_batch_has_to_be_is_said_by_the_caller():
    known = {1: 10.0, 2: 11.5, 4: 11.6}
    for worth, batch in ((1.1, 2), (1.2, 1)):
        found = choose_batch(known.__getitem__, worth=worth, fits=lambda _batch: True, goes_on=lambda: True)
        assert found.batch == batch


def test_nothing_is_timed_that_does_not_fit():
    assert choice({1: 1.0, 2: 2.0}, fits=lambda batch: batch <= 2).batch == 2


def test_nothing_more_is_timed_when_time_is_up():
    assert choice({1: 1.0}, goes_on=lambda: False).rates == ((1, 1.0),)


def test_a_batch_without_room_ends_the_search_and_one_window_without_room_is_an_error():
    def rate(batch):
        if batch > most:
            raise OutOfMemoryError("no room")
        return float(batch)

    most = 2
    assert choose_batch(rate, worth=1.05, fits=lambda _batch: True, goes_on=lambda: True).batch == 2
    most = 0
    with pytest.raises(OutOfMemoryError):
        choose_batch(rate, worth=1.05, fits=lambda _batch: True, goes_on=lambda: True)
