"""Telecined, interlaced and repeated sources through the whole program, against known truth."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

import vrestore
from vrestore.media import FieldOrder
from vrestore.train.fields import Picture, exact_pictures, interlaced, telecine, weave, whole
from vrestore.train.fieldtruth import gliding

IDENTITY = {"restore.model": "identity", "encode.encoder": "ffv1"}
MOVING = gliding(48)


def write(path: Path, frames: Sequence[Picture], rate: Fraction) -> Path:
    """4:2:0 frames without any flag of fields, lossless."""
    height, width = frames[0][0].shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for t, planes in enumerate(frames):
            flat = np.concatenate([plane.numpy().reshape(-1) for plane in planes])
            frame = av.VideoFrame.from_ndarray(flat.reshape(-1, width), format="yuv420p")
            frame.pts, frame.time_base = t, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read(path: Path) -> tuple[list[bytes], list[Fraction]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [f.to_ndarray().tobytes() for f in frames], [f.pts * f.time_base for f in frames]


def truth(number: int) -> bytes:
    return b"".join(plane.numpy().tobytes() for plane in MOVING[number])


@pytest.mark.parametrize("order", [FieldOrder.TOP_FIRST, FieldOrder.BOTTOM_FIRST])
@pytest.mark.parametrize("deinterlace", ["off", "auto"])
def test_telecined_film_gets_its_pictures_and_its_rate_back(
    tmp_path: Path, order: FieldOrder, deinterlace: str
):
    pairs = telecine(50, order)
    source = write(tmp_path / "in.mkv", weave(MOVING, pairs), Fraction(30000, 1001))
    output = tmp_path / "out.mkv"
    wanted = IDENTITY | {"ivtc.mode": "auto", "deinterlace.mode": deinterlace}
    report = vrestore.restore(str(source), str(output), preset="plain", overrides=wanted)
    made, times = read(output)
    assert made == [truth(number) for number in exact_pictures(pairs)]
    # The container's clock has milliseconds; the film's own beat is nowhere off by two of them.
    beat = [times[1] + k * Fraction(1001, 24000) for k in range(len(times) - 1)]
    assert max(abs(a - b) for a, b in zip(times[1:], beat, strict=True)) < Fraction(2, 1000)
    assert all(b > a for a, b in pairwise(times))
    assert report.facts["repeats_left_out"] == 50 - len(made)
    assert report.facts["accounted"] and report.facts["second_fields"] == 0
    assert report.plan.output_rate == Fraction(24000, 1001)
    assert report.plan.fields.cadence is not None
    assert "telecine" in str(report.plan)


def test_unflagged_interlaced_video_is_deinterlaced_by_what_its_pictures_show(tmp_path: Path):
    pairs = interlaced(20, FieldOrder.BOTTOM_FIRST)
    source = write(tmp_path / "in.mkv", weave(MOVING, pairs), Fraction(25))
    report = vrestore.restore(
        str(source), str(tmp_path / "out.mkv"), preset="plain",
        overrides=IDENTITY | {"deinterlace.mode": "auto"},
    )  # fmt: skip
    assert report.frames == 40 and report.facts["second_fields"] == 20
    assert report.plan.fields.deinterlacing is not None
    assert report.plan.fields.deinterlacing.order is FieldOrder.BOTTOM_FIRST


def test_whole_pictures_pass_a_chain_that_looks_for_fields(tmp_path: Path):
    source = write(tmp_path / "in.mkv", weave(MOVING, whole(30)), Fraction(25))
    looking = {"deinterlace.mode": "auto", "ivtc.mode": "auto", "duplicates.mode": "auto"}
    report = vrestore.restore(
        str(source), str(tmp_path / "out.mkv"), preset="plain", overrides=IDENTITY | looking
    )
    assert read(tmp_path / "out.mkv")[0] == [truth(number) for number in range(30)]
    assert not report.plan.fields.works


def test_a_diagnosis_that_chose_the_preset_is_acted_upon(tmp_path: Path):
    frames = weave(MOVING, telecine(40, FieldOrder.TOP_FIRST))
    source = write(tmp_path / "in.mkv", frames, Fraction(30000, 1001))
    planned = vrestore.plan(str(source), str(tmp_path / "out.mkv"), preset="auto")
    assert planned.diagnosis is not None
    assert planned.preset.name == "dvd-ntsc-film"
    assert planned.fields.cadence is planned.diagnosis.cadence
    assert planned.fields.matching is not None
