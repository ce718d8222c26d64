"""Kernels on a processor, through Triton's interpreter."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from vrestore.models.kernels.step import FusedStep


@pytest.fixture(scope="session")
def interpreted() -> type[FusedStep]:
    """The steps with kernels, which from here on are interpreted in this process."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("the kernels' tests need Triton: pip install triton")
    # Read when a kernel is defined.
    if torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("kernels run on the device here; TRITON_INTERPRET=1 interprets them")
    os.environ["TRITON_INTERPRET"] = "1"
    from vrestore.models.kernels.step import FusedStep

    return FusedStep
