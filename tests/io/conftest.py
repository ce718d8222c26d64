"""The two torture files, and a decoder joined to an encoder without a pipeline between them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from vrestore.io.decode import DecodeConfig, Decoder
from vrestore.io.encode import EncodeConfig, Encoder, VideoTarget
from vrestore.io.formats import pixel_format
from vrestore.io.mux import Muxer
from vrestore.io.output import OutputPlan, open_output, plan_output
from vrestore.io.probe import probe
from vrestore.io.streams import StreamsConfig
from vrestore.io.trim import Span
from vrestore.io.verify import verify_output
from vrestore.media import (
    Coding,
    Frame,
    MediaInfo,
    StreamInfo,
    StreamKind,
    Timestamp,
    VideoInfo,
)


@pytest.fixture(scope="session")
def torture() -> ModuleType:
    """The module `torture.py` beside this file."""
    spec = importlib.util.spec_from_file_location("torture", Path(__file__).with_name("torture.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["torture"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def torture_mkv(torture: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = torture.build_mkv(tmp_path_factory.mktemp("mkv") / "torture.mkv")
    return path


@pytest.fixture(scope="session")
def torture_mov(torture: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = torture.build_mov(tmp_path_factory.mktemp("mov") / "torture.mov")
    return path


def target_of(info: MediaInfo, **changes: Any) -> VideoTarget:
    """The source's own picture as the wanted one."""
    video = info.video
    target = VideoTarget(
        width=video.width,
        height=video.height,
        format=video.format,
        color=video.color,
        sar=video.sar,
        display_matrix=video.display_matrix,
        time_base=video.time_base,
        rate=video.average_rate,
        mastering_display=video.mastering_display,
        content_light=video.content_light,
        side_data=video.side_data,
        threads=1,
    )
    return replace(target, **changes)


def bare_info(target: VideoTarget, **video: Any) -> MediaInfo:
    """A source that has nothing but a picture and exists nowhere."""
    stream = StreamInfo(index=0, kind=StreamKind.VIDEO, codec="rawvideo")
    return MediaInfo(
        path="nowhere",
        container="matroska",
        streams=(stream,),
        video=VideoInfo(
            stream=stream,
            width=target.width,
            height=target.height,
            format=target.format,
            pixel_format=pixel_format(target.format),
            color=target.color,
            sar=target.sar,
            time_base=target.time_base,
            average_rate=target.rate,
            **video,
        ),
    )


@pytest.fixture(scope="session")
def make_info() -> Callable[..., MediaInfo]:
    return bare_info


def noise(target: VideoTarget, index: int, seed: int = 0) -> Frame:
    """A frame of code values of which any bit may be set; time runs in single ticks."""
    generator = torch.Generator().manual_seed(seed * 1000 + index)
    layout = target.format
    planes = []
    for plane in range(layout.plane_count):
        size = layout.plane_size(plane, target.width, target.height)
        if layout.is_float:
            planes.append(torch.rand(size, generator=generator))
        else:
            codes = torch.randint(0, 2**layout.depth, size, generator=generator)
            planes.append(codes.to(layout.code_dtype))
    return Frame(
        planes=tuple(planes),
        format=layout,
        coding=Coding.CODE,
        color=target.color,
        timestamp=Timestamp(pts=index, time_base=target.time_base),
        duration=1,
        index=index,
    )


@pytest.fixture(scope="session")
def make_noise() -> Callable[..., Frame]:
    return noise


def write_all(frames: Iterable[Frame], plan: OutputPlan, encoder: Encoder, muxer: Muxer) -> None:
    """Encodes, muxes, verifies and commits; leaves nothing where that fails."""
    try:
        for frame in frames:
            for packet in encoder.push(frame):
                muxer.write(packet)
        for packet in encoder.flush():
            muxer.write(packet)
        muxer.close()
        verify_output(plan, muxer)
        muxer.commit()
    except BaseException:
        muxer.abort()
        raise


@pytest.fixture(scope="session")
def write_frames() -> Callable[..., OutputPlan]:
    """`write_frames(output, target, config, frames, ...)`: encode, mux, verify, commit."""

    def run(
        output: Path, target: VideoTarget, config: EncodeConfig, frames: Iterable[Frame]
    ) -> OutputPlan:
        info = bare_info(target)
        plan = plan_output(str(output), info, target, config, StreamsConfig(), exact=True)
        write_all(frames, plan, *open_output(plan, info))
        return plan

    return run


@pytest.fixture(scope="session")
def make_target() -> Callable[..., VideoTarget]:
    return target_of


@pytest.fixture(scope="session")
def transcode() -> Callable[..., OutputPlan]:
    """`transcode(source, output, encoder, ...)`: decode, encode, mux, verify, commit."""

    def run(
        source: Path,
        output: Path | str,
        encoder: str = "ffv1",
        *,
        streams: StreamsConfig | None = None,
        span: Span | None = None,
        decode: DecodeConfig | None = None,
        overwrite: bool = False,
        **encode: Any,
    ) -> OutputPlan:
        info = probe(str(source))
        plan = plan_output(
            str(output),
            info,
            target_of(info),
            EncodeConfig(encoder=encoder, **encode),
            streams or StreamsConfig(),
            exact=True,
        )
        ends = open_output(plan, info, overwrite=overwrite, span=span)
        with Decoder(str(source), decode or DecodeConfig()) as decoder:
            write_all(decoder, plan, *ends)
        return plan

    return run
