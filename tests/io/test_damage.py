"""Which pictures were announced and never came."""

from hypothesis import given
from hypothesis import strategies as st

from vrestore.io.damage import Announced, Arrival


def lost_of(announced: list[int], came: list[int], duration: int) -> list[int]:
    watch = Announced(reorders=False)
    for pts in announced:
        watch.announce(pts)
    lost: list[int] = []
    for pts in came:
        lost += watch.came(pts, duration).lost
    return [*lost, *watch.rest()]


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 1000), st.integers(0, 9999))
def test_a_picture_is_lost_exactly_if_it_did_not_come(
    came: list[bool], period: int, start: int
) -> None:
    times = [start + period * n for n in range(len(came))]
    # Two neighbours that came show how long a picture lasts.
    came = [True, True, *came[2:]]
    times = [start + period * n for n in range(len(came))]
    shown = [time for time, good in zip(times, came, strict=True) if good]
    missing = [time for time, good in zip(times, came, strict=True) if not good]
    assert lost_of(times, shown, period) == missing


@given(st.lists(st.integers(1, 500), min_size=1, max_size=60))
def test_nothing_is_lost_in_a_stream_of_variable_rate(steps: list[int]) -> None:
    times = [sum(steps[:n]) for n in range(len(steps))]
    assert lost_of(times, times, 40) == []


@given(st.integers(2, 1000), st.integers(1, 50))
def test_second_fields_are_not_lost_pictures(period: int, count: int) -> None:
    frames = [2 * period * n for n in range(count)]
    fields = [period * n for n in range(2 * count)]
    assert lost_of(fields, frames, 2 * period) == []


def test_what_was_announced_before_the_first_picture_is_counted() -> None:
    watch = Announced(reorders=False)
    for pts in (0, 40, 80, 120):
        watch.announce(pts)
    assert watch.came(80, 40).lost == ()
    assert watch.lost_before_first == 2


def test_a_picture_that_comes_after_it_was_reported_lost_is_late() -> None:
    watch = Announced(reorders=False)
    for pts in (0, 40, 80, 120):
        watch.announce(pts)
    watch.came(0, 40)
    assert watch.came(80, 40).lost == (40,)
    assert watch.came(40, 40).late
    assert not watch.came(120, 40).late


def test_times_in_decoding_order_are_put_into_display_order() -> None:
    # Packets of an AVI file with B pictures, numbered as they are stored; what comes out of a
    # decoder that holds two pictures.
    watch = Announced(reorders=True)
    shown = [2, 3, 5, 4, 6, 9, 8, 10, 7]
    out = []
    for number, pts in enumerate(range(2, 2 + len(shown) + 2)):
        watch.announce(pts)
        if number >= 2:
            out.append(watch.came(shown[number - 2], 1).pts)
    assert out == list(range(2, 2 + len(shown)))


def test_without_stored_pts_pictures_take_the_announced_times_in_turn() -> None:
    watch = Announced(reorders=True, stored=False)
    for time in (0, 1, 2):
        watch.announce(time)
    assert watch.came(7).pts == 0
    watch.announce(3)
    assert watch.came(99) == Arrival(1)


def test_without_stored_pts_a_loss_needs_an_error() -> None:
    for failures in (0, 1):
        watch = Announced(reorders=False, stored=False)
        watch.announce(0)
        watch.came(0)
        watch.announce(40)
        for _ in range(failures):
            watch.fail()
        watch.announce(80)
        assert watch.came(80) == Arrival(80, (40,) * failures)
