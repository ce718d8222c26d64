"""Which links of a run stay on a device, over facts that stand in for hardware that is absent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import vrestore
from vrestore.commands import machine
from vrestore.devicepath import DeviceFacts, choose_path
from vrestore.io.encoders import ENCODERS
from vrestore.media import ChromaLocation, ColorModel, ColorSpec, Matrix, Range, SampleFormat
from vrestore.runtime import device
from vrestore.runtime.device import Device

YUV420 = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)
YUV422 = replace(YUV420, log2_chroma_h=0)
COLOR = ColorSpec(matrix=Matrix.BT709, range=Range.LIMITED, chroma_location=ChromaLocation.LEFT)

CARD = DeviceFacts(
    kind="cuda", experimental=True, kernels=True, network=True, decoder_refusal=None,
    source=(YUV420, COLOR), target=(replace(YUV420, depth=10), COLOR), between=None, fields=False,
    encoder=ENCODERS["hevc_nvenc"],
)  # fmt: skip
"""Facts of a card that has everything, as a double for the one that no test machine has."""


@pytest.mark.parametrize(
    ("changes", "on_device", "codes", "said"),
    [
        ({}, "decode network encode", True, "NVDEC, stays on the device"),
        ({"experimental": False}, "", False, "untested on GPUs; run.experimental=true uses it"),
        ({"kernels": False}, "decode encode", False, "Triton is not installed"),
        ({"network": False}, "decode encode", False, "kernels are for our own networks"),
        ({"between": "resampling"}, "decode network encode", False, "resampling stands between"),
        ({"decoder_refusal": "NVDEC has no prores"}, "network encode", True,
         "processor, pinned copy to the device (NVDEC has no prores)"),
        ({"fields": True, "between": "the deinterlacer"}, "network encode", False,
         "the deinterlacer needs pictures in main memory"),
        ({"encoder": ENCODERS["libx265"]}, "decode network", True,
         "pinned copy to libx265, which works in main memory"),
        ({"carried": True}, "decode network", True, "captions and HDR data go with pictures"),
        ({"source": (YUV422, COLOR)}, "decode encode", False, "kernels are for 4:2:0"),
        ({"target": (YUV422, COLOR)}, "decode network", False, "the output is not 4:2:0"),
        ({"target": (replace(YUV420, depth=12), COLOR)}, "decode network", True,
         "4:2:0 of 8 or 10 bits alone"),
        ({"target": (YUV420, replace(COLOR, range=Range.FULL))}, "decode network encode", True, ""),
        ({"target": (YUV420, replace(COLOR, matrix=Matrix.BT2020_NCL))}, "decode network encode",
         False, "the colour is converted"),
        ({"target": (YUV420, replace(COLOR, chroma_location=ChromaLocation.CENTER))},
         "decode network encode", False, "the colour is converted"),
    ],
)  # fmt: skip
def test_each_link_stays_on_the_device_where_it_can_and_else_says_why(
    changes: dict[str, object], on_device: str, codes: bool, said: str
) -> None:
    path = choose_path(replace(CARD, **changes))  # type: ignore[arg-type]
    assert path is not None
    assert [name for name, link in path if link.on_device] == on_device.split()
    assert path.codes is codes
    assert any(said in link.how for _, link in path)
    assert all("\n" not in link.how for _, link in path)


@pytest.mark.parametrize("kind", ["cpu", "mps", "xpu"])
def test_other_devices_have_no_path_to_choose(kind: str) -> None:
    assert choose_path(replace(CARD, kind=kind)) is None


def test_on_the_cpu_a_plan_has_none_and_shows_none(sample: Path, tmp_path: Path) -> None:
    plan = vrestore.plan(
        str(sample), str(tmp_path / "out.mkv"), preset="plain",
        overrides={"run.experimental": True, "run.device": "cpu"},
    )  # fmt: skip
    assert plan.path_on_device is None
    assert plan.output is not None and plan.output.choice.cuda is None
    assert "device " not in str(plan)


def test_a_card_is_shown_as_untested_and_auto_leaves_it_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = Device(
        name="cuda:1", description="a double for a card", memory_bytes=8 << 30, capability="sm_90"
    )
    monkeypatch.setattr(device, "list_devices", lambda: (card, device.CPU))
    machine.devices()
    first, last = capsys.readouterr().out.splitlines()
    assert first.split()[0] == "cuda:1" and first.endswith("untested")
    assert last.endswith(" tested")
    assert device.select_device("auto") is device.CPU
    assert device.select_device("1") is card and card.index == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_doctor_says_what_of_a_gpu_is_missing_and_that_nothing_needs_it() -> None:
    said = ", ".join(machine._gpu())
    assert said.startswith("no CUDA device, CUDA device 0 does not decode h264: no NVIDIA driver")
