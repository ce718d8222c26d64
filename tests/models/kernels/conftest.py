"""Kernels on a processor, through Triton's interpreter."""

from __future__ import annotations

import os

import pytest

# Read when a kernel is defined, so before any is imported, and nothing else imports them.
os.environ["TRITON_INTERPRET"] = "1"

pytest.importorskip("triton", reason="the kernels' tests need Triton: pip install triton")
