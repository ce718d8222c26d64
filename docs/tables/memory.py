"""Peak memory of whole runs: does it grow with the length, and what does 8K take?

    python docs/tables/memory.py > docs/memory.md

Exit 1 if 2,000 frames take over 5 % and over 25 MiB more than 200, or 8K over 6 GB.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from vrestore.io.testclip import write_test_clip

MIB = 2**20


def report(clip: Path, *settings: str) -> dict[str, object]:
    """What a run in a process of its own says at its end."""
    output = clip.with_name("out.mkv")
    command = [
        sys.executable,
        "-m",
        "vrestore",
        "run",
        str(clip),
        "-o",
        str(output),
        "-y",
        "-n",
        "resize",
        "--progress",
        "json",
        *settings,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    facts: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return facts


def main() -> int:
    print("| clip | settings | frames | peak MiB | expected MiB | fps |")
    print("|---|---|---|---|---|---|")
    peaks = []
    cases = [
        ((640, 360), 200, ("-s", "2", "--encoder", "libx264", "--encoder-preset", "veryfast")),
        ((640, 360), 2000, ("-s", "2", "--encoder", "libx264", "--encoder-preset", "veryfast")),
        ((7680, 4320), 24, ("-s", "1", "--encoder", "ffv1")),
        ((7680, 4320), 24, ("-s", "1", "--encoder-preset", "ultrafast")),
        ((3840, 2160), 24, ("--size", "8k", "--encoder-preset", "ultrafast")),
    ]
    for (width, height), frames, settings in cases:
        with tempfile.TemporaryDirectory() as folder:
            clip = Path(folder) / "clip.mkv"
            write_test_clip(clip, width, height, frames)
            facts = report(clip, *settings)
        peak, expected = facts["peak_rss_bytes"], facts["expected_bytes"]
        assert isinstance(peak, int) and isinstance(expected, int)
        peaks.append(peak)
        print(
            f"| {width}x{height} | {' '.join(settings)} | {facts['frames_out']} "
            f"| {peak // MIB} | {expected // MIB} | {facts['fps']:.2f} |",
            flush=True,
        )
    growth = peaks[1] - peaks[0]
    print(
        f"\nFrom 200 to 2,000 frames the peak grew by {growth / MIB:.1f} MiB "
        f"({growth / peaks[0]:.1%}); the largest 8K peak was {max(peaks[2:]) / 1e9:.2f} GB."
    )
    return int(growth > max(25 * MIB, 0.05 * peaks[0]) or max(peaks[2:]) > 6e9)


if __name__ == "__main__":
    sys.exit(main())
