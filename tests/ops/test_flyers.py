"""Ways of blobs through three frames."""

import torch

from vrestore.ops.flyers import Blobs, on_a_way

SIZE = (320, 240)


def at(*places, area=40.0, tone=0.8):
    x, y = (torch.tensor([float(place[k]) for place in places]) for k in (0, 1))
    full = torch.full_like(x, 1.0)
    return Blobs(x, y, area * full, tone * full, full, torch.zeros(len(places), 2))


def test_a_straight_way_costs_little_and_a_bent_one_much():
    here = at((100, 100), (200, 60))
    way = on_a_way(here, at((80, 95), (180, 60)), at((120, 106), (200, 100)), ratio=-1, size=SIZE)
    assert way.both[0] < 0.5
    assert way.both[1] > 3


def test_at_the_end_of_a_shot_the_next_two_frames_lie_on_one_side():
    way = on_a_way(at((100, 100)), at((115, 100)), at((131, 101)), ratio=2, size=SIZE)
    assert way.both[0] < 0.5


def test_another_look_is_another_thing():
    here = at((100, 100))
    same = on_a_way(here, at((80, 100)), at((120, 100)), ratio=-1, size=SIZE)
    other = on_a_way(here, at((80, 100), tone=0.3), at((120, 100)), ratio=-1, size=SIZE)
    assert other.both[0] > same.both[0] + 3
    assert other.first[0] > other.second[0]


def test_frames_without_blobs_prove_nothing():
    nothing = at((1, 1), area=1.0)
    for first, second in ((None, at((120, 100))), (nothing, at((120, 100))), (None, None)):
        way = on_a_way(at((100, 100)), first, second, ratio=-1, size=SIZE)
        assert way.both[0] == way.first[0] == 9
        assert way.alike[0] == 0
    assert on_a_way(nothing.largest(), None, None, ratio=-1, size=SIZE).both.shape == (0,)
