"""Restores the two torture files with the command line and says what came out of each stream.

    python docs/tables/torture.py > docs/torture.md

Exit 1 if a copied packet differs in one byte or one tick where the container is the same, or if a
time is not the source's exact time rounded once where it is another.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import av

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "io"))
from torture import build_mkv, build_mov

Packets = dict[int, list[tuple[Fraction | None, int | None, bytes]]]


def packets_of(path: Path) -> Packets:
    """(exact seconds, pts, bytes) by stream; an attachment counts as one packet."""
    packets: Packets = defaultdict(list)
    with av.open(str(path)) as container:
        for stream in container.streams:
            if stream.type == "attachment":
                packets[stream.index].append((None, None, stream.data))
        for packet in container.demux():
            if packet.size:
                seconds = None if packet.pts is None else packet.pts * packet.time_base
                packets[packet.stream_index].append((seconds, packet.pts, bytes(packet)))
    return packets


def names_of(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [
            f"{stream.type} {getattr(stream, 'name', None) or ''}".strip()
            for stream in container.streams
        ]


def restore(source: Path, output: Path) -> str:
    """Runs the command line; its losses and notes, one a line."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "vrestore",
            "run",
            str(source),
            "-o",
            str(output),
            "-n",
            "resize",
            "-s",
            "2",
            "--encoder",
            "libx264",
            "-y",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.strip() for line in done.stderr.splitlines()]
    return "\n".join(line for line in lines if line.startswith(("LOSS", "note")))


def same_container(source: Path, output: Path) -> int:
    """Prints a row for each stream; returns how many differ though they should not."""
    before, after = packets_of(source), packets_of(output)
    wrong = 0
    print(f"\n{source.name} -> {output.name}\n")
    print("| # | source | output | packets | same bytes | same ticks |")
    print("|---|---|---|---|---|---|")
    for index, (name, other) in enumerate(zip(names_of(source), names_of(output), strict=True)):
        mine, theirs = before[index], after[index]
        bytes_same = [p[2] for p in mine] == [p[2] for p in theirs]
        ticks_same = sorted((p[1] or 0) for p in mine) == sorted((p[1] or 0) for p in theirs)
        restored = index == 0
        wrong += not ticks_same or (not restored and not bytes_same)
        shown = "restored" if restored else "yes" if bytes_same else "NO"
        print(
            f"| {index} | {name} | {other} | {len(theirs)} | {shown} "
            f"| {'yes' if ticks_same else 'NO'} |"
        )
    return wrong


def other_container(source: Path, output: Path, tick: Fraction) -> int:
    """Prints the largest error by stream; returns how many exceed one rounding."""
    before, after = packets_of(source), packets_of(output)
    wrong = 0
    print(f"\n{source.name} -> {output.name}\n")
    print("| source | packets | largest time error, ms |")
    print("|---|---|---|")
    copied = [
        index
        for index, name in enumerate(names_of(source))
        if name.startswith(("video", "audio", "subtitle")) and before[index]
    ]
    targets = [
        index
        for index, name in enumerate(names_of(output))
        if name.startswith(("video", "audio", "subtitle"))
    ]
    for index, target in zip(copied, targets, strict=False):
        mine = sorted(p[0] for p in before[index] if p[0] is not None)
        theirs = sorted(p[0] for p in after[target] if p[0] is not None)
        error = max(abs(a - b) for a, b in zip(mine, theirs, strict=True))
        wrong += error > tick / 2
        print(f"| {names_of(source)[index]} | {len(theirs)} | {float(error * 1000):.3f} |")
    return wrong


def main() -> int:
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        mkv = build_mkv(Path(folder) / "torture.mkv")
        mov = build_mov(Path(folder) / "torture.mov")
        for source in (mkv, mov):
            output = source.with_stem("restored")
            said = restore(source, output)
            wrong += same_container(source, output)
            print(f"\n{said or 'No loss, no conversion.'}")
        output = mov.with_name("from-mov.mkv")
        said = restore(mov, output)
        wrong += other_container(mov, output, Fraction(1, 1000))
        print(f"\n{said or 'No loss, no conversion.'}")
    print(f"\n{wrong} streams broke a promise.")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
