"""The optional libraries of `vrestore[models]`, imported here and nowhere else."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from vrestore.errors import ModelError

__all__ = ["has_ncnn", "ncnn", "onnx", "onnxruntime", "spandrel"]

_INSTALL = "install it with `pip install 'vrestore[models]'`"


def has_ncnn() -> bool:
    """Whether the ncnn wheel is installed."""
    return find_spec("ncnn") is not None


def ncnn() -> Any:
    """The ncnn wheel.  Raises ModelError."""
    try:
        import ncnn
    except ImportError as error:
        raise ModelError(f"ncnn is not installed or does not load ({error}); {_INSTALL}") from error
    return ncnn


def onnxruntime() -> Any:
    """ONNX Runtime, which runs ONNX models.  Raises ModelError."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            f"ONNX models need onnxruntime, which is not installed or does not load ({error}); "
            f"{_INSTALL}"
        ) from error
    return onnxruntime


def onnx() -> Any:
    """The ONNX library, which writes ONNX models.  Raises ModelError."""
    try:
        import onnx
    except ImportError as error:
        raise ModelError(
            f"exporting needs onnx, which is not installed or does not load ({error}); {_INSTALL}"
        ) from error
    return onnx


def spandrel() -> Any:
    """spandrel, which knows the architectures of checkpoints.  Raises ModelError.

    It imports torchvision at once, which fails where torchvision was built for another torch.
    """
    try:
        import torchvision
    except ImportError as error:
        raise ModelError(
            f"checkpoints need spandrel and torchvision, and torchvision is not installed ({error})"
            f"; {_INSTALL}, with torchvision from where torch came from"
        ) from error
    except (RuntimeError, OSError) as error:
        raise ModelError(
            "checkpoints need torchvision, and the installed one does not fit the installed torch, "
            f"for example as one is for CUDA and the other for the CPU ({error}); install it from "
            "where torch came from"
        ) from error
    del torchvision
    try:
        import spandrel
    except ImportError as error:
        raise ModelError(
            f"checkpoints need spandrel, which is not installed or does not load ({error}); "
            f"{_INSTALL}"
        ) from error
    return spandrel
