"""The record: complete, read back as it was written, its page made from it alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vrestore import preset as presets
from vrestore.errors import InputError, OutputError
from vrestore.io.decode import DecodeReport
from vrestore.media import Coding, ColorModel, ColorSpec, Frame, SampleFormat, Timestamp
from vrestore.notes import ShotNote
from vrestore.report import Report
from vrestore.review.clips import Clip
from vrestore.review.curves import measure
from vrestore.review.embedded import TAG, settings_of, with_settings
from vrestore.review.evidence import clips_of, look_again
from vrestore.review.page.account import record_page
from vrestore.review.record import read_record, record_json, record_path
from vrestore.review.witness import MASK_EDGE, Sighting, Witness
from vrestore.wiring import assemble, plan, probe

HOSTILE = "</script><img src=x onerror=alert(1)>"


def note(stage: str, first: int, frames: int, **curves: tuple[float, ...]) -> ShotNote:
    return ShotNote(
        stage=stage, first=first, frames=frames, values={"flicker_codes_before": 3.5},
        curves=curves,
    )  # fmt: skip


@pytest.fixture(scope="module")
def planned(sample, tmp_path_factory):
    output = tmp_path_factory.mktemp("out") / "out.mkv"
    return plan(
        str(sample),
        str(output),
        preset="plain",
        overrides={
            "restore.model": "identity",
            "encode.encoder": "ffv1",
            "input.frames": "10:22",
            "run.threads": 1,
        },
    )


@pytest.fixture(scope="module")
def made(planned) -> Path:
    """A short real output that carries its settings."""
    run = assemble(with_settings(planned))
    run.pipeline.run()
    run.muxer.commit()
    return Path(planned.path)


@pytest.fixture
def report(planned, made) -> Report:
    return Report(
        plan=planned,
        decoded=DecodeReport(decoded=12, emitted=12),
        frames=12,
        fields=None,
        shots=2,
        notes=(
            note("deflicker", 0, 2, luma_before=(1.0, 2.0), luma_after=(1.5, 1.5)),
            note("deflicker", 2, 2, luma_before=(5.0, 6.0), luma_after=(5.5, float("nan"))),
        ),
        stats=None,
        pool=None,
        peak_rss_bytes=None,
    )


@pytest.fixture
def sighting() -> Sighting:
    mask = torch.zeros(27, 48, dtype=torch.bool)
    mask[5:10, 5:10] = True
    return Sighting(seconds=0.12, index=13, share=25 / (27 * 48), mask=mask)


# ------------------------------------------------------------------------------------ the record


def test_a_record_is_read_back_as_it_was_written(report, sighting, planned, made, tmp_path):
    clips = clips_of(planned.info.path, planned.path, {"start": None, "frames": "10:22"})
    assert clips is not None
    record = record_json(report, sightings=[sighting], curves=measure(clips))
    file = tmp_path / "a.record.json"
    file.write_text(json.dumps(record, allow_nan=False), encoding="utf-8")
    assert read_record(file) == record
    assert record["source"]["video"]["width"] == 480
    assert record["output"]["sha256"] == hashlib.sha256(made.read_bytes()).hexdigest()
    assert record["settings"]["toml"] == planned.preset.to_toml()
    assert record["result"]["frames_out"] == 12
    assert record["sightings"][0]["frame"] == 13
    # The identity and a lossless codec: the part 10:22 pairs with the output, frame by frame.
    assert record["metrics"]["moments"] == 12
    assert record["metrics"]["psnr"] == [None] * 12
    assert record["metrics"]["mean_psnr"] is None


def test_notes_are_told_by_shot(report):
    shots = record_json(report)["shots"]
    assert [(shot["first"], shot["frames"]) for shot in shots] == [(0, 2), (2, 2)]
    (stage,) = shots[1]["stages"]
    assert stage["curves"]["luma_after"] == [5.5, None]
    assert stage["values"] == {"flicker_codes_before": 3.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not the record of a run"),
        ('{"kind": "vrestore record", "schema": 99, "vrestore": "7.0"}', "has form 99.*7.0"),
        ('{"kind": "vrestore record", "schema": 1}', "has no 'vrestore'"),
    ],
)
def test_what_is_no_record_is_refused_in_a_sentence(tmp_path, text, message):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        read_record(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_record(tmp_path / "absent.json")


def test_a_record_lies_beside_its_output():
    assert record_path("out/film.mkv") == Path("out/film.mkv.record.json")
    assert record_path("out/%05d.png") == Path("out/_05d.png.record.json")
    with pytest.raises(OutputError, match="no output file"):
        record_path("-")


# -------------------------------------------------------------------------------------- its page


def test_the_page_shows_notes_masks_and_pictures(report, sighting, planned, made):
    clips = clips_of(planned.info.path, planned.path, {"start": None, "frames": "10:22"})
    assert clips is not None
    record = record_json(report, sightings=[sighting], curves=measure(clips))
    viewer, _ = look_again(clips, record)
    assert viewer is not None
    masked = [instant for instant in viewer.instants if instant.mask]
    assert [instant.label for instant in masked] == ["0:00.12"]
    assert masked[0].notes == [
        ["frame of 0:00.52"],
        ["frame of 0:00.12", "equal to the first", "SSIM 1.0000"],
    ]
    page = record_page(record, viewer)
    assert "Show what was found damaged" in page
    assert "flicker before, code values" in page
    # Two shots of before and after: four pieces, since no curve leads over a cut.
    figure = page.partition('data-plot="deflicker:luma"')[2].partition("</figure>")[0]
    assert figure.count("<polyline") == 4


def test_a_record_without_its_files_still_has_a_page(report):
    record = record_json(report)
    assert clips_of("nowhere.mkv", record["output"]["path"], record["part"]) is None
    page = record_page(record)
    assert "The pictures are missing" in page
    assert 'class="stage"' not in page


def test_hostile_names_stay_text_in_the_page(report):
    record = record_json(report, diagnosis={"findings": [{"name": HOSTILE, "says": HOSTILE}]})
    record["losses"] = [HOSTILE]
    record["source"]["path"] = record["output"]["path"] = f"/a/{HOSTILE}"
    record["settings"] |= {"toml": HOSTILE, "preset": HOSTILE, "description": HOSTILE}
    record["plan"] = [HOSTILE]
    record["shots"][0]["stages"][0]["stage"] = HOSTILE
    record["shots"][0]["stages"][0]["values"] = {HOSTILE: 1.0}
    page = record_page(record)
    assert HOSTILE not in page
    assert "<img" not in page


# --------------------------------------------------------------------------------------- witness


def masked_frame(index: int, share: float | None, *, shot_start: bool = False) -> Frame:
    mask = None
    if share is not None:
        mask = torch.zeros(20, 50, dtype=torch.bool)
        mask.view(-1)[: round(share * 1000)] = True
    return Frame(
        planes=(torch.zeros(20, 50),),
        format=SampleFormat(model=ColorModel.GRAY, depth=8),
        coding=Coding.UNIT,
        color=ColorSpec(),
        timestamp=Timestamp(pts=100 + index, time_base=1),
        duration=1,
        index=index,
        shot_start=shot_start,
        mask=mask,
    )


def test_a_witness_passes_frames_on_and_tells_what_was_repaired_in_each_shot():
    witness = Witness()
    shares = [0.0, 0.01, 0.05, None, 0.02]
    frames = [
        masked_frame(index, share, shot_start=index in (0, 3)) for index, share in enumerate(shares)
    ]
    passed = [out for frame in frames for out in witness.push(frame)]
    assert all(out is frame for out, frame in zip(passed, frames, strict=True))
    assert list(witness.flush()) == []
    first, second = witness.notes
    assert (first.stage, first.first, first.frames) == ("repair", 0, 3)
    assert first.values["repaired_share"] == pytest.approx(0.02)
    assert first.curves["repaired_share"] == pytest.approx((0.0, 0.01, 0.05))
    assert second.values["largest_repaired_share"] == pytest.approx(0.02)
    assert [(s.index, s.seconds) for s in witness.sightings] == [(2, 2.0), (4, 4.0)]


def test_where_nothing_was_repaired_nothing_is_noted():
    witness = Witness()
    for index in range(3):
        witness.push(masked_frame(index, None))
    witness.flush()
    assert (witness.notes, witness.sightings) == ([], [])


def test_a_small_mask_still_shows_the_smallest_spot():
    frame = masked_frame(0, None)
    mask = torch.zeros(2160, 3840, dtype=torch.bool)
    mask[1000, 2000] = True
    witness = Witness()
    witness.push(replace(frame, mask=mask))
    witness.flush()
    (sighting,) = witness.sightings
    assert max(sighting.mask.shape) <= MASK_EDGE
    assert int(sighting.mask.sum()) == 1


# -------------------------------------------------------------------------- settings in the file


def test_a_file_carries_its_settings(planned, made, tmp_path):
    settings = settings_of(probe(str(made)))
    assert settings.source == planned.info.path
    assert (settings.model, settings.sha256) == ("identity", None)
    file = tmp_path / "plain.toml"
    file.write_text(settings.toml, encoding="utf-8")
    again = presets.load(file)
    assert [(s.key, s.value) for s in again.settings()] == [
        (s.key, s.value) for s in planned.preset.settings()
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "carries no settings"),
        ("{", "are damaged"),
        ('{"schema": 1}', "are damaged"),
        ('{"schema": 9, "version": "7.0"}', "have form 9.*use the version that made them .7.0"),
    ],
)
def test_a_file_without_good_settings_is_refused_in_a_sentence(sample, value, message):
    info = probe(str(sample))
    tags = {} if value is None else {TAG: value}
    with pytest.raises(InputError, match=message):
        settings_of(replace(info, metadata=tags))


@pytest.mark.parametrize(("suffix", "kept"), [(".mp4", True), (".mov", True), (".ts", False)])
def test_which_containers_take_the_settings(planned, tmp_path, suffix, kept):
    short = plan(
        planned.info.path,
        str(tmp_path / f"out{suffix}"),
        preset="draft",
        overrides={"input.frames": "0:3", "streams.audio": False, "streams.subtitles": False,
                   "streams.attachments": False, "streams.chapters": False, "run.threads": 1},
    )  # fmt: skip
    run = assemble(with_settings(short))
    run.pipeline.run()
    run.muxer.commit()
    info = probe(short.path)
    assert any(key.upper() == TAG for key in info.metadata) == kept
    if kept:
        assert settings_of(info).preset == "draft"


def test_the_clips_of_a_record_are_those_that_are_there(planned, made, tmp_path):
    part = {"start": None, "frames": None}
    assert clips_of(planned.info.path, str(tmp_path / "absent.mkv"), part) is None
    found = clips_of(planned.info.path, str(made), part)
    assert found is not None
    assert [clip.label for clip in found] == ["before", "after"]
    assert isinstance(found[0], Clip)
