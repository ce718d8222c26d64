"""The kernels as machine code, which needs no GPU to be made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KERNELS = {
    "unpack _unpack_kernel", "gather _gather_kernel", "gather _features_kernel",
    "weigh _weigh_kernel", "enlarge _luma_kernel", "enlarge _chroma_kernel",
    "blend _difference_kernel", "blend _features_kernel", "blend _blend_kernel",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_kernel_compiles_to_machine_code(root: Path):
    pytest.importorskip("triton", reason="the kernels' tests need Triton: pip install triton")
    # In a process of its own: where kernels are interpreted, they cannot be compiled.
    plain = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("compiled.py")), "90"],
        env=plain | {"PYTHONPATH": os.pathsep.join([str(root), *sys.path])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    made = [line.split() for line in run.stdout.splitlines()]
    assert {f"{words[0]} {words[1]}" for words in made} == KERNELS
    assert all(0 < int(words[-1]) < 120_000 for words in made)
