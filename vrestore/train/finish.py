"""From a checkpoint to what ships: a weights file, its card, and its row of models.toml."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_safetensors

from vrestore.models.nets.cell import Cell, folded_weights
from vrestore.train.checkpoint import new_cell, read
from vrestore.train.config import SIZES
from vrestore.train.manifest import read_manifest

STRENGTH = 0.15
"""Default of the shipped models: careful, since more of it takes thin lines for scratches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    weights: Path
    card: Path
    row: str
    """The table to put into models.toml, above `resize` for `auto` to find it."""


def finish(
    checkpoint: Path, folder: Path, name: str, *, purpose: str, hardware: str, license: str
) -> Shipped:
    """Write NAME.safetensors (fp16, folded, averaged weights) and NAME.md into `folder`.

    Raises InputError for a file that is no checkpoint.
    """
    stored = read(checkpoint)
    config = stored["config"]
    cell = new_cell(config["size"])
    assert isinstance(cell, Cell)
    cell.load_state_dict(stored["average"])
    tensors = {k: v.to(torch.float16).contiguous() for k, v in folded_weights(cell).items()}
    data = to_safetensors(tensors, metadata={"arch": "cell", "size": config["size"]})
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / f"{name}.safetensors"
    weights.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    width, depth = SIZES[config["size"]]
    row = "\n".join((
        f"[{name}]",
        'arch = "cell"',
        f"arch_args = {{ width = {width}, depth = {depth}, scales = [1, 2, 4] }}",
        f"weights = {json.dumps(weights.name)}",
        f'sha256 = "{digest}"',
        f"license = {json.dumps(license)}",
        f"manifest = {json.dumps(config['manifest'])}",
        f"purpose = {json.dumps(purpose)}",
        "scales = [1, 2, 4]",
        "lookahead = 1",
        "min_size = 16",
        "multiple_of = 2",
        'tiling = "bands"',
        'dtypes = ["fp32", "bf16"]',
        f"strength = {STRENGTH}",
        'automatic_on = ["cpu", "cuda", "mps", "xpu"]',
        "",
    ))  # fmt: skip
    card = folder / f"{name}.md"
    manifest = read_manifest(config["manifest"])
    minutes = stored["elapsed_seconds"] / 60
    licences = sorted({s.license for s in manifest.sources})
    last = stored["curve"][-1] if stored["curve"] else {}
    numbers = "\n".join(f"| {k} | {v:+.2f} |" for k, v in last.items() if _is_gain(k, v))
    kind = "causal recurrent, one frame of lookahead" if config["temporal"] else "single-image"
    card.write_text(
        f"# {name}\n\n{purpose}.\n\n"
        f"- architecture: `cell`, {width} channels, {depth} trunk layers, {kind}; "
        f"{sum(t.numel() for t in tensors.values()):,} numbers, fp16\n"
        f"- training: {stored['step']:,} steps in {minutes:.0f} minutes on {hardware}; "
        f"seed {config['seed']}, batch {config['batch']}, crop {config['crop']}, "
        f"learning rate {config['learning_rate']}, trunk in {config.get('precision', 'fp32')}\n"
        f"{_origin(config)}"
        f"- data: manifest `{manifest.name}` ({stored['manifest_digest']}): "
        f"{manifest.description}\n"
        + "".join(f"    - {text}\n" for text in licences)
        + f"- licence of the weights: {license}\n"
        f"- sha256: `{digest}`\n\n"
        "## Gain over bicubic on clips held out of training\n\n"
        "Luma PSNR in dB; `still` is the same net without neighbours and memory.\n\n"
        f"| case | dB |\n|---|---|\n{numbers}\n\n"
        f"{_curve(stored['curve'])}"
        "## Limits\n\n"
        "Trained on 8-bit standard-range pictures with synthetic damage. It neither deinterlaces, "
        "stabilises nor colours, leaves what stays in the same place for many frames (burnt-in "
        "scratches, dirt in the gate), and cannot recover what no frame shows.\n",
        encoding="utf-8",
    )
    return Shipped(weights=weights, card=card, row=row)


def _curve(points: Sequence[Mapping[str, float | str]]) -> str:
    """The learning curve, so that it is known as long as the weights are."""
    cases = list(dict.fromkeys(k for p in points for k, v in p.items() if _is_gain(k, v)))
    rows = [
        f"| {p['step']:,} | {p['phase']} | "
        + " | ".join(f"{p[case]:+.2f}" if case in p else "" for case in cases)
        + " |"
        for p in points
    ]
    head = f"| step | phase | {' | '.join(cases)} |\n|{'---|' * (2 + len(cases))}\n"
    return "## Learning curve\n\n" + head + "\n".join(rows) + "\n\n" if rows else ""


def _is_gain(key: str, value: float | str) -> bool:
    """Whether a point's entry is a gain in dB of a case such as `clean-x2/still`."""
    return isinstance(value, float) and "x" in key


def _origin(config: Mapping[str, Any]) -> str:
    """Which training this one grew from and was averaged with, as lines of the card."""
    lines = []
    if (start := config.get("start")) is not None:
        lines.append(
            f"grown from `{Path(start).name}`, aligner and fusion taken over; its steps come on top"
        )
    if (other := config.get("averaged_with")) is not None:
        lines.append(
            f"averaged with `{other}`, of which it holds {config['averaged_share']:.0%} "
            "(arXiv:2203.05482); the last row of the curve is that of the mean"
        )
    return "".join(f"- {line}\n" for line in lines)
