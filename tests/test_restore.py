"""The whole pipeline on real files: what goes in comes out, and a failure leaves nothing."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import vrestore
from vrestore.errors import InputError, LossError, OutputError, PlanError, PresetError
from vrestore.io.testclip import write_test_clip
from vrestore.wiring import assemble

IDENTITY = {"restore.model": "identity", "encode.encoder": "ffv1"}
RESIZE = {"restore.model": "resize", "encode.encoder": "ffv1"}


def pictures(path: Path | str) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def times(path: Path | str) -> list[Fraction]:
    return [frame.pts * frame.time_base for frame in pictures(path)]


def samples(frame: av.VideoFrame) -> bytes:
    rows = []
    for plane in frame.planes:
        lines = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        rows.append(lines[:, : plane.width * (2 if "10" in frame.format.name else 1)].tobytes())
    return b"".join(rows)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    write_test_clip(path, 176, 144, 30)
    return path


def test_identity_gives_back_every_picture_bit_for_bit(sample: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    report = vrestore.restore(str(sample), str(output), preset="plain", overrides=IDENTITY)
    before, after = pictures(sample), pictures(output)
    assert report.frames == len(before) == len(after)
    assert [samples(a) for a in after] == [samples(b) for b in before]


def test_every_time_and_every_other_stream_survives(sample: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    vrestore.restore(str(sample), str(output), preset="plain", overrides=RESIZE)
    assert times(output) == times(sample)
    with av.open(str(sample)) as before, av.open(str(output)) as after:
        assert [s.type for s in after.streams] == [s.type for s in before.streams]
        assert len(after.chapters()) == len(before.chapters()) > 0

        def packets(container: av.container.InputContainer) -> list[tuple[int, int | None, bytes]]:
            return [
                (p.stream_index, p.pts, bytes(p))
                for p in container.demux()
                if p.stream.type != "video" and p.size
            ]

        assert sorted(packets(after)) == sorted(packets(before))


def test_result_does_not_depend_on_queue_depth(clip: Path, tmp_path: Path) -> None:
    outputs = []
    for name, memory in (("small.mkv", "1MiB"), ("large.mkv", "4GiB")):
        settings = RESIZE | {"size.scale": 2, "run.memory": memory}
        report = vrestore.restore(
            str(clip), str(tmp_path / name), preset="plain", overrides=settings
        )
        outputs.append((report.plan.memory.depth, [samples(f) for f in pictures(tmp_path / name)]))
    assert outputs[0][0] == 2 < outputs[1][0]
    assert outputs[0][1] == outputs[1][1]


def test_frames_in_and_out_without_files_equal_the_file(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    settings = RESIZE | {"size.scale": 2}
    vrestore.restore(str(clip), str(output), preset="plain", overrides=settings)
    planned = vrestore.plan(str(clip), str(output), preset="plain", overrides=settings)
    with vrestore.Decoder(str(clip)) as decoder:
        frames = list(vrestore.restore_frames(decoder, planned))
    for frame, written in zip(frames, pictures(output), strict=True):
        assert b"".join(p.contiguous().numpy().tobytes() for p in frame.planes) == samples(written)


def test_observer_sees_the_stages_and_the_end(clip: Path, tmp_path: Path) -> None:
    seen: list[vrestore.Progress] = []
    vrestore.restore(
        str(clip), str(tmp_path / "out.mkv"), preset="plain", overrides=RESIZE, observer=seen.append
    )
    assert [stage.name for stage in seen[-1].stages] == [
        "decode",
        "restore",
        "encode",
        "mux",
    ]
    assert seen[-1].frames_done == 30
    assert seen[-1].position_seconds == pytest.approx(29 / 25)


@pytest.mark.parametrize(
    ("start", "stop", "kept"), [("0.4", None, 20), (None, "0.4", 10), ("0.2", "0.6", 10)]
)
def test_part_of_the_source(
    clip: Path, tmp_path: Path, start: str | None, stop: str | None, kept: int
) -> None:
    output = tmp_path / "out.mkv"
    settings = IDENTITY | {"input.start": start, "input.stop": stop}
    report = vrestore.restore(str(clip), str(output), preset="plain", overrides=settings)
    first = int(Fraction(start or 0) * 25)
    assert report.frames == kept
    assert [samples(f) for f in pictures(output)] == [
        samples(f) for f in pictures(clip)[first : first + kept]
    ]
    assert times(output)[0] == 0


def test_exported_cuts_are_what_a_run_imports(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "odd" / "vfr_timestamps" / "count-video.mp4"
    count = vrestore.export_cuts(str(source), str(tmp_path / "cuts.txt"))
    report = vrestore.restore(
        str(source),
        "null",
        preset="plain",
        overrides={
            "restore.model": "identity",
            "encode.encoder": "null",
            "cuts.file": str(tmp_path / "cuts.txt"),
        },
    )
    assert report.shots == count


def test_existing_output_is_refused_and_kept(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    output.write_bytes(b"precious")
    with pytest.raises(OutputError, match="-y"):
        vrestore.restore(str(clip), str(output), preset="plain", overrides=IDENTITY)
    assert output.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [output]


def test_strict_refuses_before_anything_is_written(sample: Path, tmp_path: Path) -> None:
    with pytest.raises(LossError, match="subtitle"):
        vrestore.restore(
            str(sample),
            str(tmp_path / "out.y4m"),
            preset="plain",
            overrides={"restore.model": "identity", "streams.strict": True},
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"restore.modle": "identity"}, PresetError),
        ({"size.scale": 9}, PresetError),
        ({"encode.pixel_format": "nv12", "encode.encoder": "ffv1"}, PlanError),
    ],
)
def test_wrong_settings_fail_before_anything_is_written(
    clip: Path, tmp_path: Path, settings: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        vrestore.restore(str(clip), str(tmp_path / "out.mkv"), preset="plain", overrides=settings)
    assert not list(tmp_path.iterdir())


def test_selection_without_pictures_says_so(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no picture"):
        vrestore.restore(
            str(clip),
            str(tmp_path / "out.mkv"),
            preset="plain",
            overrides=IDENTITY | {"input.start": "100"},
        )
    assert not list(tmp_path.iterdir())


class Fault(Exception):
    """Injected."""


@pytest.mark.parametrize("stage", ["decode", "encode", "mux"])
@pytest.mark.parametrize("item", [0, 7, 29])
def test_fault_in_a_real_stage_leaves_no_file_and_no_thread(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, item: int
) -> None:
    output = tmp_path / "out.mkv"
    planned = vrestore.plan(
        str(clip), str(output), preset="plain", overrides=RESIZE | {"size.scale": 2}
    )
    run = assemble(planned)
    owner, method = {
        "decode": (run.decoder, "_frames"),
        "encode": (run.encoder, "push"),
        "mux": (run.muxer, "write"),
    }[stage]
    working, calls = getattr(owner, method), iter(range(1000))

    def failing(argument: object) -> object:
        if next(calls) == item:
            raise Fault(stage)
        return working(argument)

    def failing_frames() -> object:
        for number, frame in enumerate(working):
            if number == item:
                raise Fault(stage)
            yield frame

    before = set(threading.enumerate())
    monkeypatch.setattr(owner, method, failing_frames() if stage == "decode" else failing)
    with pytest.raises(Fault) as caught:
        run.pipeline.run()
    assert any(f"in stage '{stage}'" in note for note in caught.value.__notes__)
    assert set(threading.enumerate()) <= before
    assert not list(tmp_path.iterdir())


def test_black_bars_are_put_back_where_they_were(tmp_path: Path) -> None:
    source, output = tmp_path / "bars.mkv", tmp_path / "out.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        noise = np.random.default_rng(1)
        for _ in range(8):
            picture = np.full((180, 160), 128, np.uint8)
            picture[:120] = 16
            picture[20:100] = noise.integers(60, 200, (80, 160), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
        container.mux(stream.encode(None))
    report = vrestore.restore(
        str(source),
        str(output),
        preset="plain",
        overrides=RESIZE | {"size.scale": 2, "size.bars": "restore-inside"},
    )
    assert report.plan.bars is not None and report.plan.bars.found
    luma = pictures(output)[3].to_ndarray()[:240]
    assert set(np.unique(luma[:38])) == set(np.unique(luma[-38:])) == {16}
    assert luma[44:196].std() > 20


def test_sd_that_becomes_hd_is_converted_to_709_and_tagged(tmp_path: Path) -> None:
    source, output = tmp_path / "sd.mkv", tmp_path / "hd.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
        stream.codec_context.colorspace = 5
        stream.codec_context.color_primaries = 5
        stream.codec_context.color_trc = 6
        stream.codec_context.color_range = 1
        planes = np.concatenate(
            [np.full(720 * 576, 81), np.full(360 * 288, 90), np.full(360 * 288, 240)]
        ).astype(np.uint8)  # 601 red
        picture = av.VideoFrame.from_ndarray(planes.reshape(864, 720), format="yuv420p")
        for _ in range(3):
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    vrestore.restore(str(source), str(output), preset="plain", overrides=RESIZE | {"size.scale": 2})
    frame = pictures(output)[1]
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 1, 1)
    y, cb, cr = (plane[frame.height // 4, frame.width // 4] for plane in _planes(frame))
    # BT.470BG red in BT.709: computed through linear light with exponent 2.4 both ways.
    assert (int(y), int(cb), int(cr)) == pytest.approx((64, 102, 240), abs=3)


def _planes(frame: av.VideoFrame) -> list[np.ndarray]:
    return [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        for plane in frame.planes
    ]
