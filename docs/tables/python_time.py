"""How long a frame keeps each thread of a run in Python itself, outside FFmpeg, torch and numba.

    PYTHONPATH=. python docs/tables/python_time.py CLIP [-n MODEL] [-s SCALE] [--encoder NAME]
        [--frames N]

Runs the first third of the frames and then all of them under a profiler, one for each thread; what
the longer run took more, by frames more, is a frame's share, so that imports and compilation do not
count.  Own time of Python's functions is counted, time in C is not; the profiler's own cost is in
it, so the numbers are too high.
"""

from __future__ import annotations

import argparse
import cProfile
import importlib
import pstats
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import vrestore

_COMPILED = Path(vrestore.__file__).parent / "models" / "compiled"
_LIBRARIES = ("torch", "numba", "llvmlite")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clip")
    parser.add_argument("-n", "--model", default="lite")
    parser.add_argument("-s", "--scale", type=int, default=2)
    parser.add_argument("--encoder", default="null")
    parser.add_argument("--frames", type=int, default=72)
    given = parser.parse_args()
    count = given.frames
    few = count // 3
    short, whole = (_profiled(given, frames) for frames in (few, count))
    print(f"{count - few} frames, {given.model} x{given.scale}, {given.encoder}\n")
    print("| thread | Python, ms a frame | most of it |\n|---|--:|---|")
    total = 0.0
    for thread, times in whole.items():
        rates = {
            where: 1000 * (seconds - short[thread].get(where, 0.0)) / (count - few)
            for where, seconds in times.items()
        }
        own = sum(rates.values())
        total += own
        most = sorted(rates.items(), key=lambda pair: -pair[1])[:3]
        told = ", ".join(f"{where} {ms:.2f}" for where, ms in most)
        print(f"| {thread} | {own:.2f} | {told} |")
    print(f"| all | {total:.2f} | |")


def _profiled(given: argparse.Namespace, frames: int) -> Mapping[str, Mapping[str, float]]:
    """Thread -> function -> seconds of its own."""
    profiles: list[tuple[str, cProfile.Profile]] = []
    run = threading.Thread.run

    def watched(thread: threading.Thread) -> None:
        profile = cProfile.Profile(time.thread_time)
        profiles.append((thread.name, profile))
        profile.runcall(run, thread)

    threading.Thread.run = watched  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as folder:
            vrestore.restore(
                given.clip,
                str(Path(folder) / "out.mkv"),
                overrides={
                    "restore.model": given.model,
                    "size.scale": given.scale,
                    "encode.encoder": given.encoder,
                    "input.frames": f"0:{frames}",
                },
            )
    finally:
        threading.Thread.run = run  # type: ignore[method-assign]
    own: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for name, profile in profiles:
        for (path, _, function), (_, _, seconds, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
            if path != "~" and not _is_anothers(Path(path), function):
                own[name][f"{Path(path).stem}.{function}"] += seconds
    return own


def _is_anothers(path: Path, function: str) -> bool:
    """Whether a function is a library's, or one of ours that numba compiled."""
    if any(library in path.parts for library in _LIBRARIES):
        return True
    if path.parent != _COMPILED or path.stem == "__init__":
        return False
    module = importlib.import_module(f"vrestore.models.compiled.{path.stem}")
    return hasattr(getattr(module, function, None), "py_func")


if __name__ == "__main__":
    main()
