"""Runs the command line over every file of some folders and prints what became of each.

    python docs/tables/corpus.py FOLDER... [--limit SECONDS] > docs/corpus.md

Exit 1 if any run hung, showed a traceback, left a final file after a failure, left a partial file,
or finished without accounting for every frame.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETTINGS = ["-n", "resize", "-s", "2", "--encoder", "libx264", "--encoder-preset", "ultrafast"]


def restore(source: Path, output: Path, limit: float) -> dict[str, object]:
    """One run: exit code, seconds, the last line of stderr, the report and what is wrong."""
    command = [
        sys.executable,
        "-m",
        "vrestore",
        "run",
        str(source),
        "-o",
        str(output),
        *SETTINGS,
        "--progress",
        "json",
    ]
    began = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"code": None, "seconds": limit, "says": "", "report": {}, "wrong": ["hangs"]}
    wrong = []
    report: dict[str, object] = {}
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("event") == "report":
            report = message
    if "Traceback" in done.stderr:
        wrong.append("traceback")
    if done.returncode == 0 and not output.exists():
        wrong.append("no output")
    if done.returncode != 0 and output.exists():
        wrong.append("final file after a failure")
    if list(output.parent.glob("*.part*")):
        wrong.append("partial file left")
    if done.returncode == 0 and not report.get("accounted"):
        wrong.append("frames not accounted for")
    if done.returncode not in (0, 3, 4):
        wrong.append(f"exit code {done.returncode}")
    says = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
    return {
        "code": done.returncode,
        "seconds": time.monotonic() - began,
        "says": says,
        "report": report,
        "wrong": wrong,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds a file may take")
    options = parser.parse_args()
    failures = 0
    print("| file | exit | frames in | out | repeated | corrupt | s | says |")
    print("|---|---|---|---|---|---|---|---|")
    for folder in options.folders:
        for source in sorted(path for path in folder.rglob("*") if path.is_file()):
            with tempfile.TemporaryDirectory() as scratch:
                row = restore(source, Path(scratch) / "out.mkv", options.limit)
            report = row["report"]
            assert isinstance(report, dict)
            failures += bool(row["wrong"])
            says = "; ".join(row["wrong"]) or ("" if row["code"] == 0 else str(row["says"]))
            says = says.replace(str(source.parent) + "/", "").replace("|", "/")
            print(
                f"| {folder.name}/{source.relative_to(folder)} | {row['code']} "
                f"| {report.get('frames_in', '')} | {report.get('frames_out', '')} "
                f"| {report.get('repeated', '')} | {report.get('corrupt', '')} "
                f"| {row['seconds']:.1f} | {says} |",
                flush=True,
            )
    print(f"\n{failures} of the runs broke a promise.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
