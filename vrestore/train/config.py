"""The settings of a training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

SIZES = {
    "nano": (24, 4), "small": (32, 6), "lite": (48, 6), "base": (64, 10), "large": (128, 14)
}  # fmt: skip
"""Channels and depth of the trunk for each size."""


PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What one training is; with seed, `steps` and one worker it determines every bit."""

    data: Path
    """Folder of footage."""

    checkpoint: Path
    """File to continue from if it exists, and to write to."""

    manifest: str = "research"
    size: str = "lite"
    """A key of SIZES."""

    start: str | None = None
    """Model by its name, or checkpoint by its path, of a smaller or equal size to grow from; the
    aligner's phase is then left out."""

    precision: str = "fp32"
    """Of the trunk's convolutions: fp32, or bf16 with fp32 weights and accumulation."""

    net: str = "cell"
    """What is trained: the cell, or by a key of `rivals.NETS` what it is compared with."""

    temporal: bool = True
    """False trains the single-image twin: same trunk, same steps, no neighbours, no state."""

    clean: bool = False
    """Undamaged pictures alone, to be magnified, as the published nets were trained."""

    minutes: float | None = None
    """Wall-clock length; the schedule is stretched to end then."""

    steps: int | None = None
    """Length in steps instead, for reproducible trainings."""

    seed: int = 0
    device: str = "cpu"
    threads: int | None = None
    """CPU threads of torch; None leaves them alone."""

    workers: int = 0
    """Processes that synthesise; 0 does it in between the steps."""

    batch: int = 6
    """Sequences per temporal step; single-image steps take as many samples as cost the same."""

    crop: int = 64
    """Side of a temporal sample in input luma samples, a multiple of 16."""

    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(f"size must be one of {', '.join(SIZES)}, got {self.size!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be fp32 or bf16, got {self.precision!r}")
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("exactly one of minutes and steps must be given")
        if self.crop % 16 or self.crop < 32:
            raise ValueError(f"crop must be a multiple of 16, at least 32, got {self.crop}")
        if self.batch < 1 or self.learning_rate <= 0:
            raise ValueError("batch and learning_rate must be positive")
