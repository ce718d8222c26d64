"""ONNX models of single pictures, run by ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrestore.errors import ModelError
from vrestore.models.single import extras
from vrestore.models.single.picture import Geometry
from vrestore.models.single.reach import FARTHEST

__all__ = ["OnnxNet", "open_net"]

PROBE = 64
"""Side of the picture that a model of free size is tried with."""

_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxNet:
    """A PictureNet of one ONNX file: (1, 3, H, W) in, R'G'B' in 0..1, the same out.

    A file does not tell how far its network looks, so tiles have FARTHEST around them.
    """

    def __init__(self, session: Any, name: str) -> None:
        self._session = session
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != 4:
            raise ModelError(
                f"{name} is no model of one picture: it must have one input (N, 3, H, W)"
            )
        if inputs[0].type not in _DTYPES:
            raise ModelError(f"{name} takes {inputs[0].type}, not floating point numbers")
        self._input, self._dtype = inputs[0].name, _DTYPES[inputs[0].type]
        channels, height, width = inputs[0].shape[1:]
        if isinstance(channels, int) and channels != 3:
            raise ModelError(f"{name} takes {channels} channels; only RGB pictures are given to it")
        both = isinstance(height, int) and isinstance(width, int)
        fixed = (height, width) if both else None
        self._name = name
        self.geometry = Geometry(scale=1, reach=0)
        tried = torch.full((1, 3, *(fixed or (PROBE, PROBE))), 0.5)
        made = self(tried).shape
        scale, rest = divmod(made[-1], tried.shape[-1])
        if rest or made != (1, 3, scale * tried.shape[-2], scale * tried.shape[-1]) or scale < 1:
            raise ModelError(
                f"{name} makes {made[-1]}x{made[-2]} of {tried.shape[-1]}x{tried.shape[-2]}, "
                "which is no whole magnification"
            )
        around = FARTHEST if fixed is None else min(FARTHEST, min(fixed) // 4)
        self.geometry = Geometry(
            # Most networks with strides inside ask for multiples of 8 at most.
            scale=scale, reach=around, fixed=fixed, step=1 if fixed else 8,
        )  # fmt: skip

    def __call__(self, picture: Tensor, means: Sequence[Tensor] = ()) -> Tensor:
        given = picture.detach().cpu().numpy().astype(self._dtype)
        try:
            (made,) = self._session.run(None, {self._input: np.ascontiguousarray(given)})
        except Exception as error:
            raise ModelError(f"{self._name} fails in onnxruntime: {error}") from error
        return torch.from_numpy(np.asarray(made, np.float32)).to(picture.device)

    def features(self, picture: Tensor, means: Sequence[Tensor]) -> Tensor:
        raise ModelError(f"{self._name} shows no features")


def open_net(path: Path) -> OnnxNet:
    """The network of an .onnx file.

    Raises ModelError where onnxruntime is absent or refuses the file, and where it is no network
    from an RGB picture to one that is a whole number of times as large.
    """
    runtime = extras.onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"onnxruntime cannot open {path.name}: {error}") from error
    return OnnxNet(session, path.name)
