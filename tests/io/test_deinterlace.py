"""Deinterlacing against known truth: fields are woven from progressive pictures and told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import vrestore
from vrestore.errors import PlanError
from vrestore.io.deinterlace import (
    Deinterlace,
    DeinterlaceConfig,
    Deinterlacing,
    choose_deinterlacing,
)
from vrestore.io.probe import probe
from vrestore.io.sidedata import side_data_of
from vrestore.media import (
    Coding,
    ColorModel,
    ColorSpec,
    FieldOrder,
    Frame,
    SampleFormat,
    StreamInfo,
    StreamKind,
    Timestamp,
    VideoInfo,
)

TFF, BFF, PROGRESSIVE = FieldOrder.TOP_FIRST, FieldOrder.BOTTOM_FIRST, FieldOrder.PROGRESSIVE
ORDERS = pytest.mark.parametrize("order", [TFF, BFF], ids=["tff", "bff"])
FILTERS = pytest.mark.parametrize("filter", ["bwdif", "yadif"])
YUV420 = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)
STEP = 4
"""Pixels that the edge moves from field to field, to the right."""


def scene(time: int, width: int = 96, height: int = 64, form: SampleFormat = YUV420) -> list:
    """A bright area whose edge moves over a soft vertical pattern; the truth at a field's time."""
    planes = []
    for i in range(form.plane_count):
        rows, columns = form.plane_size(i, width, height)
        x = (np.arange(columns)[None, :] + 0.5) * width / columns
        y = (np.arange(rows)[:, None] + 0.5) * height / rows
        values = 0.2 + 0.6 / (1 + np.exp(x - 10 - STEP * time)) + 0.05 * np.sin(y / 5 + i)
        codes = np.rint(values * (2**form.depth - 1))
        planes.append(torch.from_numpy(codes.astype("u1" if form.depth == 8 else "u2")))
    return planes


def frame(
    index: int,
    planes: list,
    order: FieldOrder = PROGRESSIVE,
    form: SampleFormat = YUV420,
    **more: object,
) -> Frame:
    """One of 25 a second, on a clock of 1/75 that does not begin at 0."""
    given = Frame(
        planes=tuple(planes),
        format=form,
        coding=Coding.CODE,
        color=ColorSpec(),
        timestamp=Timestamp(pts=100 + 3 * index, time_base=Fraction(1, 75)),
        duration=3,
        index=index,
        field_order=order,
        shot_start=index == 0,
    )
    return replace(given, **more)


def woven(first: list, second: list, order: FieldOrder) -> list:
    """Two pictures as the fields of one: the field shown first has the rows of `first`."""
    mixed = [plane.clone() for plane in first]
    for plane, later in zip(mixed, second, strict=True):
        rows = slice(1, None, 2) if order is TFF else slice(0, None, 2)
        plane[rows] = later[rows]
    return mixed


def interlaced(count: int, order: FieldOrder, form: SampleFormat = YUV420, **size: int) -> list:
    return [
        frame(
            i,
            woven(scene(2 * i, form=form, **size), scene(2 * i + 1, form=form, **size), order),
            order,
            form,
        )
        for i in range(count)
    ]


def run(op: Deinterlace, frames: list[Frame]) -> list[Frame]:
    return [*(out for item in frames for out in op.push(item)), *op.flush()]


def psnr(planes: tuple, truth: list, depth: int = 8) -> float:
    """Of all planes together, in decibels."""
    errors = [
        (a.double() - b.double()).square().flatten() for a, b in zip(planes, truth, strict=True)
    ]
    return float(10 * torch.log10((2**depth - 1) ** 2 / torch.cat(errors).mean().clamp_min(1e-9)))


def edge(picture: Frame) -> float:
    """Where the bright area ends, in pixels."""
    return float((picture.planes[0].double().mean(0) > 127).sum())


# ------------------------------------------------------------------------------------- pictures


@ORDERS
@FILTERS
def test_bob_gives_back_the_picture_of_each_field(order: FieldOrder, filter: str) -> None:
    source = interlaced(8, order)
    result = run(Deinterlace(Deinterlacing(rate=2, filter=filter)), source)
    assert len(result) == 16
    weave = max(psnr(item.planes, scene(2 * item.index)) for item in source)
    assert weave < 25
    assert min(psnr(out.planes, scene(time)) for time, out in enumerate(result)) > 45


@ORDERS
def test_same_rate_gives_the_picture_of_the_first_field(order: FieldOrder) -> None:
    source = interlaced(8, order)
    result = run(Deinterlace(Deinterlacing(rate=1)), source)
    assert min(psnr(out.planes, scene(2 * i)) for i, out in enumerate(result)) > 45
    assert [(out.timestamp, out.duration, out.index) for out in result] == [
        (item.timestamp, item.duration, item.index) for item in source
    ]


@ORDERS
def test_motion_goes_forward_and_with_swapped_fields_it_does_not(order: FieldOrder) -> None:
    source = interlaced(8, order)
    right = [edge(out) for out in run(Deinterlace(Deinterlacing(rate=2)), source)]
    assert np.diff(right).tolist() == [STEP] * 15
    swapped = Deinterlacing(rate=2, order=BFF if order is TFF else TFF)
    wrong = [edge(out) for out in run(Deinterlace(swapped), source)]
    assert np.diff(wrong)[::2].max() < 0
    weave = psnr(source[4].planes, scene(8))
    result = run(Deinterlace(swapped), source)
    assert psnr(result[8].planes, scene(8)) < weave + 1


def test_the_order_may_change_from_frame_to_frame() -> None:
    orders = [TFF, TFF, BFF, BFF, TFF, BFF]
    source = [interlaced(6, order)[i] for i, order in enumerate(orders)]
    result = run(Deinterlace(Deinterlacing(rate=2)), source)
    assert [edge(out) for out in result] == [edge(result[0]) + STEP * time for time in range(12)]


@pytest.mark.parametrize(
    "form",
    [
        SampleFormat(model=ColorModel.GRAY, depth=8),
        SampleFormat(model=ColorModel.GRAY, depth=16),
        SampleFormat(model=ColorModel.RGB, depth=12),
        SampleFormat(model=ColorModel.YCBCR, depth=10, log2_chroma_w=1),
        SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1, alpha=True),
        SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=2),
    ],
    ids=["gray", "gray16", "gbrp12", "yuv422p10", "yuva420p", "yuv411p"],
)
def test_every_plane_of_other_formats_too(form: SampleFormat) -> None:
    result = run(Deinterlace(Deinterlacing(rate=2)), interlaced(5, BFF, form))
    assert {out.format for out in result} == {form}
    for time, out in enumerate(result):
        assert psnr(out.planes, scene(time, form=form), form.depth) > 40


def test_odd_sizes() -> None:
    result = run(Deinterlace(Deinterlacing(rate=2)), interlaced(5, TFF, width=97, height=63))
    assert [tuple(plane.shape) for plane in result[0].planes] == [(63, 97), (32, 49), (32, 49)]
    assert min(psnr(out.planes, scene(t, 97, 63)) for t, out in enumerate(result)) > 40


# ------------------------------------------------------------------ what is not interlaced


def test_progressive_frames_pass_bit_for_bit_between_interlaced_ones() -> None:
    source = interlaced(7, TFF)
    for i in (0, 2, 3, 6):
        source[i] = frame(i, scene(2 * i))
    op = Deinterlace(Deinterlacing(rate=2))
    result = run(op, source)
    assert [out.index for out in result] == [0, 1, 1, 2, 3, 4, 4, 5, 5, 6]
    for out in result:
        if out.index in (0, 2, 3, 6):
            given = source[out.index]
            assert out.planes == given.planes
            assert out.timestamp.seconds == given.timestamp.seconds
            assert out.duration * out.timestamp.time_base == Fraction(3, 75)
    assert (op.report.frames, op.report.deinterlaced, op.report.added) == (7, 3, 3)
    assert all(a.timestamp.pts + a.duration == b.timestamp.pts for a, b in pairwise(result))


def test_at_the_same_rate_they_are_the_very_frames_that_came() -> None:
    source = [frame(i, scene(i)) for i in range(4)]
    assert all(
        out is item
        for out, item in zip(run(Deinterlace(Deinterlacing(rate=1)), source), source, strict=True)
    )


def test_whole_pictures_lose_their_flags_and_nothing_else() -> None:
    origin = flagged(TFF)(av.VideoFrame(96, 64, "yuv420p"))
    source = [replace(frame(i, scene(i), TFF), origin=origin) for i in range(4)]
    op = Deinterlace(Deinterlacing(rate=1, order=PROGRESSIVE))
    result = run(op, source)
    assert all(out.planes is item.planes for out, item in zip(result, source, strict=True))
    assert [out.timestamp for out in result] == [item.timestamp for item in source]
    assert {out.field_order for out in result} == {PROGRESSIVE}
    assert origin.interlaced_frame and not any(out.origin.interlaced_frame for out in result)
    assert (op.report.frames, op.report.deinterlaced, op.report.added) == (4, 0, 0)


def test_a_whole_picture_among_interlaced_ones_loses_a_wrong_flag() -> None:
    source = interlaced(4, TFF)
    origin = flagged(TFF)(av.VideoFrame(96, 64, "yuv420p"))
    source[2] = frame(2, scene(4), PROGRESSIVE, origin=origin)
    whole = [out for out in run(Deinterlace(Deinterlacing(rate=2)), source) if out.index == 2]
    assert len(whole) == 1 and not whole[0].origin.interlaced_frame


def test_frames_without_a_flag_are_deinterlaced_where_every_frame_is_wanted() -> None:
    source = [replace(item, field_order=PROGRESSIVE) for item in interlaced(6, BFF)]
    op = Deinterlace(Deinterlacing(rate=2, every=True, fallback=BFF))
    result = run(op, source)
    assert np.diff([edge(out) for out in result]).tolist() == [STEP] * 11
    assert op.report.added == 6


# ------------------------------------------------------------------------------ times, shots


@given(
    flags=st.lists(st.sampled_from([TFF, BFF, PROGRESSIVE]), min_size=1, max_size=8),
    steps=st.lists(st.integers(1, 9), min_size=8, max_size=8),
    durations=st.lists(st.integers(1, 9), min_size=8, max_size=8),
    starts=st.lists(st.booleans(), min_size=8, max_size=8),
)
def test_every_frame_comes_out_once_in_order_at_its_time(flags, steps, durations, starts) -> None:
    picture = scene(0, 16, 16)
    source = [
        replace(
            frame(i, picture, order),
            timestamp=Timestamp(pts=sum(steps[:i]) - 7, time_base=Fraction(1, 90)),
            duration=durations[i],
            shot_start=starts[i],
        )
        for i, order in enumerate(flags)
    ]
    op = Deinterlace(Deinterlacing(rate=2))
    result = run(op, source)
    fields = [[out for out in result if out.index == i] for i in range(len(source))]
    for item, made in zip(source, fields, strict=True):
        assert len(made) == (1 if item.field_order is PROGRESSIVE else 2)
        assert made[0].timestamp.seconds == item.timestamp.seconds
        assert made[0].shot_start == item.shot_start
        assert not any(out.shot_start for out in made[1:])
        assert sum(out.duration * out.timestamp.time_base for out in made) == Fraction(
            item.duration, 90
        )
    assert [out.index for out in result] == sorted(out.index for out in result)
    times = [out.timestamp.pts for out in result]
    assert all(a < b for a, b in pairwise(times))
    assert len(result) == op.report.frames + op.report.added


def test_the_second_field_is_half_a_frame_later() -> None:
    result = run(Deinterlace(Deinterlacing(rate=2)), interlaced(3, TFF))
    assert [out.timestamp for out in result] == [
        Timestamp(pts=200 + 3 * k, time_base=Fraction(1, 150)) for k in range(6)
    ]
    assert {out.duration for out in result} == {3}
    assert {out.field_order for out in result} == {PROGRESSIVE}


def test_what_the_decoded_frame_carries_goes_with_the_first_field() -> None:
    origin = flagged(TFF)(av.VideoFrame(96, 64, "yuv420p"))
    assert origin.interlaced_frame
    source = [replace(item, origin=origin) for item in interlaced(3, TFF)]
    result = run(Deinterlace(Deinterlacing(rate=2)), source)
    assert all(out.origin is None for out in result[1::2])
    for out in result[::2]:
        assert not out.origin.interlaced_frame
        assert out.origin.planes[0].buffer_ptr == origin.planes[0].buffer_ptr
    assert origin.interlaced_frame


def test_nothing_crosses_the_start_of_a_shot() -> None:
    before = [frame(i, [plane * 0 + 16 for plane in scene(0)], TFF) for i in range(3)]
    after = [replace(item, index=item.index + 3) for item in interlaced(3, TFF)]
    after = [
        replace(item, timestamp=replace(item.timestamp, pts=item.timestamp.pts + 9))
        for item in after
    ]
    joined = run(Deinterlace(Deinterlacing(rate=2)), before + after)
    alone = run(Deinterlace(Deinterlacing(rate=2)), after)
    assert [out.shot_start for out in joined] == [True] + [False] * 5 + [True] + [False] * 5
    for a, b in zip(joined[6:], alone, strict=True):
        assert all(torch.equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))
    assert all(int(plane.max()) == 16 for out in joined[:6] for plane in out.planes)


# -------------------------------------------------------------------------------- decisions


def video_info(order: FieldOrder = PROGRESSIVE, form: SampleFormat = YUV420, **more) -> VideoInfo:
    stream = StreamInfo(index=0, kind=StreamKind.VIDEO, codec="mpeg2video")
    size = {"width": 720, "height": 576} | more
    return VideoInfo(
        stream=stream, format=form, pixel_format="", color=ColorSpec(), field_order=order, **size
    )


@pytest.mark.parametrize(
    ("mode", "order", "expected"),
    [
        ("off", TFF, None),
        ("auto", PROGRESSIVE, None),
        ("auto", FieldOrder.UNKNOWN, None),
        ("auto", BFF, Deinterlacing(rate=2, fallback=BFF)),
        ("bob", PROGRESSIVE, Deinterlacing(rate=2, every=True)),
        ("bwdif", BFF, Deinterlacing(rate=2, every=True, fallback=BFF)),
        ("same-rate", TFF, Deinterlacing(rate=1, every=True)),
        ("decomb", TFF, Deinterlacing(rate=1, every=True)),
        ("yadif", TFF, Deinterlacing(rate=1, every=True, filter="yadif")),
    ],
)
def test_what_a_word_means_for_a_source(mode, order, expected) -> None:
    assert choose_deinterlacing(DeinterlaceConfig(mode=mode), video_info(order)) == expected


WHOLE = Deinterlacing(rate=1, order=PROGRESSIVE)
MARKED = {"marked": True}


@pytest.mark.parametrize(
    ("mode", "flag", "seen", "expected"),
    [
        # Whole pictures flagged interlaced pass, and lose the flag.
        ("auto", TFF, {"measured": PROGRESSIVE}, WHOLE),
        ("auto", PROGRESSIVE, {"measured": PROGRESSIVE}, None),
        # Video is treated in the order that was measured, whatever the flag says.
        ("auto", PROGRESSIVE, {"measured": BFF}, Deinterlacing(rate=2, every=True, order=BFF)),
        (
            "auto",
            TFF,
            {"measured": BFF},
            Deinterlacing(rate=2, every=True, order=BFF, fallback=TFF),
        ),
        ("same-rate", TFF, {"measured": BFF}, Deinterlacing(rate=1, every=True, order=BFF)),
        ("off", TFF, {"measured": BFF}, None),
        # Where every frame comes with its own right order, each is trusted.
        ("auto", PROGRESSIVE, {"measured": BFF, **MARKED}, Deinterlacing(rate=2)),
        ("auto", PROGRESSIVE, {"measured": PROGRESSIVE, **MARKED}, Deinterlacing(rate=1)),
        ("bob", TFF, {"measured": PROGRESSIVE, **MARKED}, Deinterlacing(rate=2)),
        ("off", PROGRESSIVE, {"measured": PROGRESSIVE, **MARKED}, WHOLE),
    ],
)
def test_what_was_measured_counts_more_than_flags(mode, flag, seen, expected) -> None:
    assert choose_deinterlacing(DeinterlaceConfig(mode=mode), video_info(flag), **seen) == expected


def test_an_order_is_taken_against_the_flags() -> None:
    config = DeinterlaceConfig(mode="auto", order="bff", filter="yadif")
    chosen = choose_deinterlacing(config, video_info(TFF))
    assert chosen is not None
    assert chosen.order_of(frame(0, scene(0), TFF)) is BFF
    assert chosen.order_of(frame(0, scene(0), PROGRESSIVE)) is PROGRESSIVE


@pytest.mark.parametrize(
    "info",
    [
        video_info(TFF, SampleFormat(model=ColorModel.GRAY, depth=10)),
        video_info(TFF, SampleFormat(model=ColorModel.RGB, depth=32, is_float=True)),
        video_info(TFF, width=2, height=2),
    ],
    ids=["gray10", "float", "tiny"],
)
def test_what_the_filter_does_not_take_is_refused_before_the_first_frame(info) -> None:
    with pytest.raises(PlanError, match="give --deinterlace off"):
        choose_deinterlacing(DeinterlaceConfig(mode="auto"), info)


def test_a_still_is_never_made_two_pictures() -> None:
    info = video_info(TFF)
    assert choose_deinterlacing(DeinterlaceConfig(mode="auto"), info, is_still=True) is None
    with pytest.raises(PlanError, match="same-rate"):
        choose_deinterlacing(DeinterlaceConfig(mode="bob"), info, is_still=True)


@pytest.mark.parametrize(
    "wrong", [{"mode": "on"}, {"filter": "w3fdif"}, {"order": "top"}], ids=lambda w: next(iter(w))
)
def test_a_wrong_setting_is_refused_by_its_name(wrong) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} must be"):
        DeinterlaceConfig(**wrong)


# ------------------------------------------------------------------------------ whole files


def flagged(order: FieldOrder) -> Callable[[av.VideoFrame], av.VideoFrame]:
    """Gives pictures the flag that FFV1 stores, as a capture program would."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=96, height=64, format=av.VideoFormat("yuv420p"), time_base=Fraction(1, 25)
    )
    step, sink = graph.add("setfield", f"mode={order.value}"), graph.add("buffersink")
    source.link_to(step)
    step.link_to(sink)
    graph.configure()

    def mark(picture: av.VideoFrame) -> av.VideoFrame:
        graph.push(picture)
        return graph.pull()

    return mark


def write_interlaced(path: Path, order: FieldOrder, count: int = 10) -> None:
    mark = flagged(order)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.time_base = Fraction(1, 25)
        for item in interlaced(count, order):
            flat = np.concatenate([plane.numpy().reshape(-1) for plane in item.planes])
            picture = av.VideoFrame.from_ndarray(flat.reshape(96, 96), format="yuv420p")
            picture.pts, picture.time_base = item.index, Fraction(1, 25)
            container.mux(stream.encode(mark(picture)))
        container.mux(stream.encode(None))


def decoded(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(path)) as container:
        yield from container.decode(video=0)


EXACT = {"restore.model": "identity", "encode.encoder": "ffv1", "cuts.detect": False}


@ORDERS
def test_a_file_is_doubled_in_rate_and_accounted_for(order: FieldOrder, tmp_path: Path) -> None:
    source, output = tmp_path / f"{order.value}.mkv", tmp_path / "out.mkv"
    write_interlaced(source, order)
    assert probe(str(source)).video.field_order is order
    overrides = {**EXACT, "deinterlace.mode": "auto", "input.frames": "0:10"}
    report = vrestore.restore(str(source), str(output), preset="plain", overrides=overrides)
    assert report.plan.frames_expected == report.frames == 20
    assert report.facts["accounted"] and report.facts["second_fields"] == 10
    assert "10 deinterlaced, 1 -> 2 fields" in str(report)
    pictures = list(decoded(output))
    assert [p.pts * p.time_base for p in pictures] == [Fraction(k, 50) for k in range(20)]
    assert not any(p.interlaced_frame for p in pictures)
    assert probe(str(output)).video.average_rate == 50
    for time, picture in enumerate(pictures):
        luma = torch.from_numpy(picture.to_ndarray()[:64])
        assert psnr((luma,), scene(time)[:1]) > 45


def test_a_source_that_stays_interlaced_says_so(tmp_path: Path) -> None:
    source = tmp_path / "tff.mkv"
    write_interlaced(source, TFF, count=3)
    kept = vrestore.plan(str(source), str(tmp_path / "out.mkv"), preset="plain", overrides=EXACT)
    assert kept.output is not None and kept.output.target.field_order is TFF
    assert any("fields stay woven" in note for note in kept.notes)


def test_captions_are_written_once_for_two_fields(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "interlaced" / "scte20_ntsc_704x480i.ts"
    if not source.is_file():
        pytest.skip(f"no {source.name}")
    output = tmp_path / "out.mkv"
    overrides = {
        **EXACT,
        "encode.encoder": "libx264",
        "encode.speed": "ultrafast",
        "deinterlace.mode": "bob",
        "input.frames": "0:8",
    }
    report = vrestore.restore(str(source), str(output), preset="plain", overrides=overrides)
    assert report.frames == 16
    captioned = [side_data_of(picture).get("A53_CC") for picture in decoded(output)]
    given = [side_data_of(picture).get("A53_CC") for picture in islice(decoded(source), 8)]
    assert any(given)
    assert captioned[::2] == given
    assert not any(captioned[1::2])


def test_a_progressive_file_is_untouched(sample: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    overrides = {**EXACT, "deinterlace.mode": "auto", "input.frames": "0:6"}
    report = vrestore.restore(str(sample), str(output), preset="plain", overrides=overrides)
    assert report.plan.fields.deinterlacing is None
    for before, after in zip(decoded(sample), decoded(output), strict=False):
        assert before.to_ndarray().tobytes() == after.to_ndarray().tobytes()


@pytest.mark.parametrize(("mode", "rate"), [("auto", 2), ("same-rate", 1)])
def test_a_real_broadcast(shared: Path, tmp_path: Path, mode: str, rate: int) -> None:
    source = shared / "data" / "interlaced" / "pal_fields_720x576i.ts"
    if not source.is_file():
        pytest.skip(f"no {source.name}")
    output = tmp_path / "out.mkv"
    overrides = {
        **EXACT,
        "encode.encoder": "libx264",
        "encode.speed": "ultrafast",
        "deinterlace.mode": mode,
        "input.frames": "0:12",
    }
    report = vrestore.restore(str(source), str(output), preset="plain", overrides=overrides)
    assert report.decoded.emitted == 12
    assert report.frames == 12 * rate and report.facts["accounted"]
    times = [p.pts * p.time_base for p in decoded(output)]
    # Matroska counts milliseconds.
    gaps = {b - a for a, b in pairwise(times)}
    assert gaps == {Fraction(40, rate * 1000)}
