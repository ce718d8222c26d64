"""The record of a run: everything that was found, decided and changed, as plain values for JSON.

The record is complete without the page that is made of it (`page.account`): the pictures are taken
again from source and output, at the moments that the record names.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from vrestore import limits
from vrestore.errors import InputError, OutputError
from vrestore.json_form import to_json
from vrestore.notes import ShotNote
from vrestore.report import Report
from vrestore.review.curves import Curves
from vrestore.review.embedded import program_version
from vrestore.review.page.album import mask_picture
from vrestore.review.witness import Sighting

__all__ = ["SCHEMA", "read_record", "record_json", "record_path"]

SCHEMA = 1
"""Version of the record's form."""

KIND = "vrestore record"

_LIBRARIES = ("torch", "av", "numpy", "pillow", "safetensors")


def record_json(
    report: Report,
    *,
    sightings: Sequence[Sighting] = (),
    diagnosis: object = None,
    curves: Curves | None = None,
) -> dict[str, Any]:
    """The record as plain values.

    `diagnosis` is any value of this program and is written by its fields.  `curves` are those of
    source and output, in this order.  Reads source and output to write their checksums.
    """
    plan = report.plan
    toml = plan.preset.to_toml()
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "vrestore": program_version(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": _plain(plan.info) | {"sha256": _checksum(plan.info.path)},
        "output": {
            "path": plan.path,
            "bytes": _size(plan.path),
            "sha256": _checksum(plan.path),
            "width": plan.size.output[0],
            "height": plan.size.output[1],
        },
        "part": {
            "start": plan.preset.input.start,
            "stop": plan.preset.input.stop,
            "frames": plan.preset.input.frames,
        },
        "diagnosis": None if diagnosis is None else _plain(diagnosis),
        "plan": str(plan).splitlines()[1:],
        "losses": [str(loss) for loss in plan.losses],
        "settings": {
            "preset": plan.preset.name,
            "description": plan.preset.description,
            "toml": toml,
            "sha256": hashlib.sha256(toml.encode()).hexdigest(),
        },
        "model": {
            "name": plan.model.name,
            "sha256": plan.model.sha256,
            "license": plan.model.license,
            "manifest": plan.model.manifest.value,
            "purpose": plan.model.purpose,
        },
        "result": _plain(report.facts),
        "stages": _stages(report),
        "shots": _shots(report.notes),
        "sightings": [
            {
                "seconds": round(sighting.seconds, 6),
                "frame": sighting.index,
                "share": _number(sighting.share),
                "mask": mask_picture(sighting.mask.numpy()),
            }
            for sighting in sightings
        ],
        "metrics": None if curves is None else _metrics(curves),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "device": plan.device.name,
            "libraries": {name: metadata.version(name) for name in _LIBRARIES},
        },
    }


def read_record(path: str | Path) -> dict[str, Any]:
    """A record that was written as JSON.

    Raises InputError where it cannot be read, is no record, or has a form of another version.
    """
    try:
        record = json.loads(limits.read_text(path, limits.RECORD_BYTES))
    except OSError as error:
        raise InputError(f"the record {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(record, dict) or record.get("kind") != KIND:
        raise InputError(f"{path} is not the record of a run")
    if record.get("schema") != SCHEMA:
        raise InputError(
            f"the record {path} has form {record.get('schema')}, this vrestore reads {SCHEMA}; "
            f"use the version that made it ({record.get('vrestore', 'unknown')})"
        )
    if missing := [key for key in _PARTS if key not in record]:
        raise InputError(f"the record {path} is damaged: it has no {missing[0]!r}")
    return record


def record_path(output: str) -> Path:
    """Where the record of an output lies: beside it.  The page has the ending .html instead."""
    if output in ("-", "null"):
        raise OutputError("a record lies beside its output, and this run has no output file")
    # A pattern has no place of its own beside its many pictures.
    name = Path(output.replace("%", "_"))
    return name.with_name(name.name + ".record.json")


_PARTS = (
    "vrestore", "written", "source", "output", "part", "diagnosis", "plan", "losses", "settings",
    "model", "result", "stages", "shots", "sightings", "metrics", "machine",
)  # fmt: skip


# ------------------------------------------------------------------------------------ its parts


def _plain(value: object) -> Any:
    return json.loads(to_json(value))


def _number(value: float) -> float | None:
    """A number with five digits; None for what JSON does not have."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [_number(value) for value in values]


def _stages(report: Report) -> list[dict[str, Any]]:
    """How busy each thread of the pipeline was."""
    stats = report.stats
    if stats is None:
        return []
    return [
        {"name": stage.name, "busy_share": _number(stats.busy_share(stage))}
        for stage in stats.stages
    ]


def _shots(notes: Sequence[ShotNote]) -> list[dict[str, Any]]:
    """The notes by shot, in the film's order.

    Stages before a change of rate count other frames than those after it; what begins with the
    same frame is one shot.
    """
    shots: dict[int, dict[str, Any]] = {}
    for note in sorted(notes, key=lambda note: note.first):
        shot = shots.setdefault(note.first, {"first": note.first, "frames": 0, "stages": []})
        shot["frames"] = max(shot["frames"], note.frames)
        shot["stages"].append(
            {
                "stage": note.stage,
                "values": {key: _number(value) for key, value in note.values.items()},
                "curves": {key: _numbers(values) for key, values in note.curves.items()},
            }
        )
    return list(shots.values())


def _metrics(curves: Curves) -> dict[str, Any]:
    """Source against output, in this order."""
    return {
        "width": curves.size[0],
        "height": curves.size[1],
        "comparable": curves.comparable,
        "runs": curves.runs,
        "moments": len(curves.number),
        "seconds": [round(second, 6) for second in curves.seconds],
        "psnr": _numbers(curves.psnr[1]),
        "mean_psnr": None if not curves.psnr[1] else _number(curves.mean_psnr[1] or 0.0),
        "brightness": [_numbers(values) for values in curves.brightness],
        "sharpness": [_numbers(values) for values in curves.sharpness],
        "brightness_flicker": _maybe(curves.unsteadiness),
        "flicker_index": _maybe(curves.flicker)[1],
        "warping_error": _maybe(curves.warping),
    }


def _maybe(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else _number(value) for value in values]


def _size(path: str) -> int | None:
    file = Path(path)
    return file.stat().st_size if file.is_file() else None


def _checksum(path: str) -> str | None:
    """SHA-256 of a file; None for standard input and patterns."""
    file = Path(path)
    if path == "-" or not file.is_file():
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
