"""The noise level of a picture whose rows come a few at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.models.nets.cell import noise_level

__all__ = ["NOISE_KEY", "NoiseMeter"]

NOISE_KEY = "restore.noise_level"
"""Entry of a frame's tuning: the noise level of the picture that it is a part of."""

_BLOCK, _AROUND = 8, 2
"""Side of the blocks that `noise_level` averages, and rows that they look at beyond it."""

_QUANTILE, _TO_LEVEL = 4, 10.0 * 1.2533 / 6.0
"""As in `noise_level`."""


class NoiseMeter:
    """`noise_level` of a whole picture, as the network takes it of all rows at once.

    The level is a quantile over all blocks of a picture, so parts of it have levels of their own:
    with those, a clear sky would be restored otherwise than the same sky beside a roof.
    """

    def __init__(self) -> None:
        self._blocks: list[Tensor] = []
        self._rest: Tensor | None = None
        self._rows = 0

    def push(self, luma: Tensor) -> None:
        """The next rows, (rows, W) in 0..1."""
        self._rows += luma.shape[0]
        # As the network does, the last column of an odd width is repeated.
        even = F.pad(luma.float()[None], (0, luma.shape[1] % 2), mode="replicate")[0]
        rows = even if self._rest is None else torch.cat((self._rest, even))
        count = (rows.shape[0] - _AROUND) // _BLOCK
        if count < 1:
            self._rest = rows
            return
        part = rows[: count * _BLOCK + _AROUND]
        columns = part[:, :-2] - 2.0 * part[:, 1:-1] + part[:, 2:]
        residue = (columns[:-2] - 2.0 * columns[1:-1] + columns[2:]).abs()
        self._blocks.append(F.avg_pool2d(residue[None], min(_BLOCK, residue.shape[1])).flatten())
        self._rest = rows[count * _BLOCK :].clone()

    def level(self) -> float:
        """Of everything that was pushed; nothing may be pushed after."""
        assert self._rest is not None
        if self._rows % 2:
            self.push(self._rest[-1:, :])
        if not self._blocks:
            return float(noise_level(self._rest[None, None]))
        blocks = torch.cat(self._blocks)
        rank = max(1, (len(blocks) + _QUANTILE - 1) // _QUANTILE)
        return float(blocks.kthvalue(rank).values) * _TO_LEVEL
