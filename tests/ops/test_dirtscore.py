"""The small network that judges regions."""

import torch

from vrestore.ops.dirtscore import score
from vrestore.ops.dirtweights import SIZES
from vrestore.ops.marks import FEATURES


def test_the_weights_belong_to_the_features():
    assert SIZES[0] == len(FEATURES)
    assert score(torch.zeros(0, len(FEATURES))).shape == (0,)


def test_what_stands_out_and_is_found_nowhere_else_is_dirt():
    def row(**values):
        return torch.tensor([[values.get(name, USUAL[name]) for name in FEATURES]])

    alone = row(elsewhere_best=0.3, elsewhere_worst=0.3, beyond_apart=-1.5, disagreement=2.0)
    found = row(elsewhere_best=-2.0, elsewhere_worst=-0.5, beyond_apart=0.0, disagreement=-0.5)
    assert score(alone) > score(found) + 2
    assert torch.equal(score(1e6 * alone.sign()), score(1e9 * alone.sign()))


USUAL = dict.fromkeys(FEATURES, 0.0) | {
    "strength": 1.2, "contrast": -2.2, "area": 3.2, "noise": -3.8, "width": 1.8, "height": 1.8,
    "filled": 0.7, "tone": 0.4, "uniform": -0.5, "uneven": -0.5, "rim": -0.8, "motion": 1.0,
    "bend": 0.7, "return": 0.7, "known_return": 2.0, "beyond_known": 2.0, "lopsided": 0.85,
    "chroma": -4.3, "crowd": -3.8, "way": 6.0, "way_first": 3.0, "way_second": 3.0, "solid": 0.8,
    "busy": -3.4, "sign": 1.0,
}  # fmt: skip
