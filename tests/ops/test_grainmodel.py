"""A measurement survives a shot list, and tells the network what training told it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vrestore.ops.grainmodel import (
    INTENSITIES,
    WHITE,
    ChannelGrain,
    Grain,
    network_strength,
)
from vrestore.train import damage, sample

numbers = st.floats(0, 10, allow_subnormal=False)


def even(name, strength):
    return ChannelGrain(name=name, strength=(strength,) * len(INTENSITIES))


@given(
    names=st.sampled_from([("y",), ("y", "cb", "cr"), ("r", "g", "b")]),
    strengths=st.lists(numbers, min_size=9, max_size=9),
    powers=st.lists(numbers, min_size=36, max_size=36),
    correlation=st.tuples(*[st.floats(-1, 1)] * 3),
    confidence=st.floats(0, 1),
)
def test_a_measurement_comes_back_from_a_mapping(names, strengths, powers, correlation, confidence):
    grain = Grain(
        channels=tuple(
            ChannelGrain(name=name, strength=tuple(strengths), power=tuple(powers))
            for name in names
        ),
        correlation=correlation,
        confidence=confidence,
    )
    flat = grain.to_mapping()
    assert all(key.startswith("grain.") for key in flat)
    assert Grain.from_mapping({"grain.keep": 0.5, **flat}, names) == grain


def test_a_mapping_without_a_measurement_gives_none():
    assert Grain.from_mapping({"grain.keep": 0.5}, ("y",)) is None


def test_an_incomplete_measurement_names_what_is_missing():
    flat = Grain(channels=(even("y", 0.1),)).to_mapping()
    del flat["grain.y.strength.7"]
    with pytest.raises(ValueError, match=r"grain\.y\.strength\.7"):
        Grain.from_mapping(flat, ("y",))


def test_a_measurement_of_other_planes_is_refused():
    flat = Grain(channels=(even("y", 0.1),)).to_mapping()
    with pytest.raises(ValueError, match="cb"):
        Grain.from_mapping(flat, ("y", "cb", "cr"))


@pytest.mark.parametrize(
    "fields",
    [
        {"strength": (0.1,)},
        {"strength": (-0.1,) * 9},
        {"strength": (math.nan,) * 9},
        {"power": (1.0,)},
    ],
)
def test_impossible_grain_is_refused(fields):
    with pytest.raises(ValueError, match="grain of 'y'"):
        ChannelGrain(**{"name": "y", "strength": (0.1,) * 9, "power": WHITE} | fields)


@pytest.mark.parametrize("space", ["gray", "rgb", "ycbcr"])
@pytest.mark.parametrize("sigma", [0.0, 0.014, 0.035, 0.07, 0.2])
def test_the_network_is_told_what_training_told_it(space, sigma):
    noise = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    if space == "gray":
        channels = [even("y", sigma)]
    elif space == "rgb":
        channels = [even(name, sigma) for name in "rgb"]
    else:
        planes = sample.to_ycbcr(0.5 + sigma * noise, "601")[0]
        channels = [
            even(name, float(plane.std()))
            for name, plane in zip(("y", "cb", "cr"), planes, strict=True)
        ]
    strength = network_strength(Grain(channels=tuple(channels)))
    assert strength == pytest.approx(min(1, sigma / 0.07), abs=0.06)


def test_no_grain_needs_no_strength():
    assert network_strength(Grain()) == 0


def test_training_still_says_what_it_said():
    """`network_strength` inverts `train.sample`: strong grain alone is drawn as sigma / 0.07."""
    import numpy as np

    frames = torch.full((4, 3, 64, 64), 0.5)
    noisy = damage.grain(frames, np.random.default_rng(0), 0.05, gray=True)
    assert float((noisy - frames).std()) == pytest.approx(0.05, rel=0.15)
