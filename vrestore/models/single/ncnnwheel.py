"""ncnn's networks computed by the ncnn wheel, on the CPU: 1.3 to 1.5 times as fast as torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrestore.errors import ModelError
from vrestore.models.single import extras
from vrestore.models.single.ncnnfile import NcnnFile
from vrestore.models.single.picture import Geometry
from vrestore.models.single.reach import geometry_of

__all__ = ["WheelNet"]


class WheelNet:
    """A PictureNet out of ncnn's files, with as many threads as torch has at the first call.

    May be called from several threads at once.  Computes in fp32.  Raises ModelError where the
    wheel is absent, and at the first call where it refuses the files.
    """

    def __init__(self, file: NcnnFile) -> None:
        self.geometry: Geometry = geometry_of(file)
        self._ncnn = extras.ncnn()
        self._path = file.path
        self._input, self._output, self._means = file.input, file.output, file.means
        self._net: Any = None

    def _loaded(self) -> Any:
        """The network; ncnn arranges the weights for the number of threads when it loads them.

        Threads that come first together may each read it; the last one's is kept.
        """
        if self._net is None:
            self._net = self._read()
        return self._net

    def _read(self) -> Any:
        net = self._ncnn.Net()
        net.opt.num_threads = torch.get_num_threads()
        # What a chip stores in half precision differs from chip to chip; results must not.
        net.opt.use_fp16_packed = False
        net.opt.use_fp16_storage = False
        net.opt.use_fp16_arithmetic = False
        net.opt.use_vulkan_compute = False
        net.opt.lightmode = True
        weights = self._path.with_suffix(".bin")
        if net.load_param(str(self._path)) or net.load_model(str(weights)):
            raise ModelError(f"ncnn cannot load {self._path.name} and its .bin")
        return net

    def __call__(self, picture: Tensor, means: Sequence[Tensor] = ()) -> Tensor:
        return self._made(self._output, picture, means)

    def features(self, picture: Tensor, means: Sequence[Tensor]) -> Tensor:
        return self._made(self._means[len(means)][0], picture, means)

    def _made(self, wanted: str, picture: Tensor, means: Sequence[Tensor]) -> Tensor:
        net = self._loaded()
        extractor = net.create_extractor()
        # The extractor reads the arrays' own memory, so they live until it is done.
        given = [(self._input, picture[0])]
        given += [(name, mean) for (_, name), mean in zip(self._means, means, strict=False)]
        arrays = [(name, _array(value)) for name, value in given]
        for name, array in arrays:
            self._require(extractor.input(name, self._ncnn.Mat(array)), name)
        status, made = extractor.extract(wanted)
        self._require(status, wanted)
        return torch.from_numpy(np.array(made))[None].to(picture.device)

    def _require(self, status: Any, blob: str) -> None:
        """Raise MemoryError for a failed call: with files that were checked nothing else is left.

        ncnn gives a number, not a reason.
        """
        if status:
            raise MemoryError(f"ncnn failed at {blob} with status {status}")


def _array(value: Tensor) -> Any:
    return np.ascontiguousarray(value.detach().cpu().to(torch.float32).numpy())
