"""Kernels of a step in Triton, for CUDA: what eager torch does in a hundred passes over memory.

The eager code (`nets/cell.py`, `nets/fusion.py`, `ops/levels.py`) is the reference of every kernel
and runs everywhere; with TRITON_INTERPRET=1 so do the kernels, on any processor.  They are for
YCbCr 4:2:0, which stays 4:2:0.

    unpack    code values, NV12 or planar -> zero-centred planes of legal size, edges repeated
    gather    both neighbours and the fused picture along the flows, their median, the six
              differences of the four candidates, where the frame stands apart
    features  3x3 means of the differences -> distances; input of the fusion's net (channels last)
    weigh     softmax -> fused picture, its noise; stem of the trunk (channels last, its dtype)
    enlarge   bicubic base + head, shuffled -> luma; chroma, as floats or code values
    difference, blend
              previous result along the flow; what of it stays; -> luma, code values with dither

What lies between them are convolutions, which cuDNN does.  A cell is 2x2 luma samples; sizes are
h x w cells, H x W = 2h x 2w luma samples, s the scale.  All indices fit 32 bits.
"""

from __future__ import annotations

import importlib.util

import torch

__all__ = ["kernels_fit"]


def kernels_fit(device: torch.device) -> bool:
    """Whether the kernels run on that device: CUDA, with Triton installed."""
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None
