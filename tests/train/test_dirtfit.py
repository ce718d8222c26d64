"""Fitting the judge of dirt."""

import base64

import numpy as np
import torch

from vrestore.ops.marks import FEATURES
from vrestore.train import dirtfit


def examples(count=4000):
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(count, len(FEATURES), generator=generator)
    dirty = features[:, 0] + features[:, 1].abs() > 1
    return dirtfit.Examples(features, dirty, torch.ones(count))


def test_what_is_fitted_tells_dirt_and_is_written_whole(monkeypatch):
    monkeypatch.setattr(dirtfit, "EPOCHS", 200)
    known = examples()
    parts = dirtfit.fit(known, seed=1)
    mean, spread, *layers = parts
    values = (known.features - mean) / spread
    while layers:
        weight, bias, *layers = layers
        values = values @ weight.t() + bias
        values = values.relu() if layers else values
    assert ((values[:, 0] > 0) == known.dirty).float().mean() > 0.93
    names = {}
    exec(dirtfit.module(parts), names)
    numbers = np.frombuffer(base64.b85decode(names["WEIGHTS"]), "<f2")
    assert names["SIZES"] == (len(FEATURES), *dirtfit.HIDDEN, 1)
    assert np.allclose(numbers, torch.cat([p.flatten() for p in parts]), atol=1e-2)


def test_in_grey_nothing_is_coloured():
    grey = examples(10).in_grey(0.5)
    assert (grey.features[:, FEATURES.index("saturation")] == 0).all()
    assert (grey.weight == 0.5).all()
