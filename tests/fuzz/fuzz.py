"""Coverage-guided fuzzing of every parser of ours: `make fuzz`, or

    python tests/fuzz/fuzz.py --seconds 60 [--corpus DIR] [TARGET ...]

Needs the extra `[fuzz]` (atheris).  Each target runs in a process of its own under a limit of
memory, and of time for one input.  What breaks it is kept below --corpus; the table on standard
output tells executions, coverage and findings.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

OURS = [
    "vrestore.preset", "vrestore.sections", "vrestore.setting_type", "vrestore.limits",
    "vrestore.shotlist", "vrestore.ops.cutlist", "vrestore.io.timestamps", "vrestore.io.ebml",
    "vrestore.io.selection", "vrestore.io.source", "vrestore.io.probe", "vrestore.io.pictures",
    "vrestore.io.decode", "vrestore.io.still", "vrestore.io.sequence", "vrestore.io.formats",
    "vrestore.io.tags", "vrestore.models.registry", "vrestore.review.embedded",
    "vrestore.review.page", "vrestore.models.single.ncnnfile", "vrestore.train.manifest",
    "vrestore.jobs.journal", "vrestore.jobs.entries", "vrestore.io.cutoff", "vrestore.io.stillmeta",
    "tomllib", "json", "PIL",
]  # fmt: skip
"""What is measured for coverage."""

with atheris.instrument_imports(include=OURS):
    from targets import TARGETS, Target

MEMORY_MIB = 3000
SECONDS_AN_INPUT = 20


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--corpus", type=Path, help="where inputs are kept; default: nowhere")
    given = parser.parse_args(words)
    if unknown := sorted(set(given.targets) - set(TARGETS)):
        parser.error(f"no target {unknown[0]!r}; there are {', '.join(TARGETS)}")
    print("| parser | seconds | executions | coverage | inputs kept | findings |")
    print("|---|---:|---:|---:|---:|---|", flush=True)
    broken = 0
    with tempfile.TemporaryDirectory(prefix="vrestore-fuzz-") as scratch:
        for name in given.targets or TARGETS:
            folder = (given.corpus or Path(scratch)) / name
            folder.mkdir(parents=True, exist_ok=True)
            row, found = fuzzed(name, given.seconds, folder)
            broken += found
            print(row, flush=True)
    return 1 if broken else 0


def fuzzed(name: str, seconds: int, folder: Path) -> tuple[str, bool]:
    """One row of the table, and whether something was found."""
    log_file = folder / "log.txt"
    child = os.fork()  # The instrumented modules are loaded once; libFuzzer never gives back.
    if not child:
        with log_file.open("wb") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        fuzz(TARGETS[name], seconds, folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    log_text = log_file.read_text(encoding="utf-8", errors="replace")
    progress = re.findall(r"#(\d+)\s+\w+\s+cov: (\d+) ft: \d+ corp: (\d+)", log_text)
    runs = re.findall(r"stat::number_of_executed_units:\s+(\d+)", log_text)
    executions = runs[-1] if runs else (progress[-1][0] if progress else "0")
    coverage, kept = progress[-1][1:] if progress else ("-", "-")
    found = "none"
    if status:
        causes = re.findall(r"^(?:\w+\.)*\w*(?:Error|Exception)\b.*|ERROR: .*", log_text, re.M)
        found = (causes[0] if causes else f"exit status {status}")[:90].replace("|", "/")
    return f"| {name} | {seconds} | {executions} | {coverage} | {kept} | {found} |", bool(status)


def fuzz(target: Target, seconds: int, folder: Path) -> None:
    """Does not return: libFuzzer ends the process."""
    seeds = folder / "inputs"
    seeds.mkdir(exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (seeds / f"seed-{number}").write_bytes(seed)
    options = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-timeout={SECONDS_AN_INPUT}",
        f"-rss_limit_mb={MEMORY_MIB}",
        f"-max_len={target.length}",
        f"-artifact_prefix={folder}/found-",
        "-print_final_stats=1",
    ]
    if target.words:
        words = folder / "words.txt"
        words.write_text("".join(f'"{word}"\n' for word in target.words), encoding="utf-8")
        options.append(f"-dict={words}")
    atheris.Setup([*options, str(seeds)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
