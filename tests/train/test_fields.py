"""Synthetic fields: the cadence that makes a clip is the truth about it."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from vrestore.media import FieldOrder
from vrestore.train.fields import (
    blended,
    coded,
    exact_pictures,
    interlaced,
    joined,
    repeated,
    shifted,
    telecine,
    weave,
    whole,
)
from vrestore.train.fieldtruth import gliding

TFF, BFF, PROGRESSIVE = FieldOrder.TOP_FIRST, FieldOrder.BOTTOM_FIRST, FieldOrder.PROGRESSIVE


def test_pulldown_has_the_pattern_of_the_textbooks():
    assert telecine(5, TFF) == [(0, 0), (1, 1), (1, 2), (2, 3), (3, 3)]
    assert telecine(5, BFF) == [(0, 0), (1, 1), (2, 1), (3, 2), (3, 3)]
    assert telecine(4, TFF, 3) == [(0, 1), (1, 1), (2, 2), (3, 3)]


@pytest.mark.parametrize("order", [TFF, BFF])
@pytest.mark.parametrize("position", range(5))
def test_fields_of_a_cadence_never_go_back_in_time(order, position):
    for pairs in (telecine(23, order, position), shifted(9, order), interlaced(9, order)):
        first, second = (0, 1) if order is TFF else (1, 0)
        shown = [pair[field] for pair in pairs for field in (first, second)]
        assert shown == sorted(shown) and shown[0] == 0


def test_one_cadence_follows_another():
    assert joined(whole(2), shifted(2, TFF)) == [(0, 0), (1, 1), (2, 3), (3, 4)]
    assert repeated(6, Fraction(2, 3)) == [(0, 0), (0, 0), (1, 1), (2, 2), (2, 2), (3, 3)]


def test_what_can_be_had_back():
    assert exact_pictures(telecine(5, TFF)) == [0, 1, 2, 3]
    assert exact_pictures(telecine(4, TFF, 2)) == [1, 2, 3]
    assert exact_pictures(shifted(3, BFF)) == [1, 2]
    assert exact_pictures(interlaced(3, TFF)) == []


def test_weaving_takes_rows_from_both_in_every_plane():
    film = gliding(2)
    (frame,) = weave(film, [(0, 1)])
    for plane, even, odd in zip(frame, *film, strict=True):
        assert torch.equal(plane[0::2], even[0::2])
        assert torch.equal(plane[1::2], odd[1::2])


def test_a_field_inside_one_picture_is_pure_and_one_across_two_is_their_mean():
    film = gliding(4)
    made = blended(film, 2, TFF, Fraction(2, 3))
    assert torch.equal(made[0][0][0::2], film[0][0][0::2])
    mean = (film[0][0].float() + film[1][0].float()) / 2
    assert float((made[0][0][1::2].float() - mean[1::2]).abs().max()) <= 0.5


@pytest.mark.parametrize("encoder", ["libx264", "mpeg2video"])
def test_coding_keeps_fields_apart(encoder):
    made = weave(gliding(12), interlaced(6, TFF))
    quality = 20 if encoder == "libx264" else 4
    back = list(coded(made, encoder, quality, TFF))
    assert len(back) == 6
    for frame, truth in zip(back, made, strict=True):
        error = float((frame[0].float() - truth[0].float()).abs().mean())
        assert 0 < error < 6
