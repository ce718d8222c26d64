"""Which device is meant, how threads and memory are shared out, and that the CPU costs nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from vrestore.errors import DeviceError
from vrestore.runtime.device import (
    CPU,
    RunConfig,
    list_devices,
    parse_bytes,
    select_device,
)
from vrestore.runtime.pipeline import Pipeline, stream

pytestmark = pytest.mark.timeout(30)


def test_the_cpu_is_always_there_last_and_tested() -> None:
    devices = list_devices()
    assert devices[-1] is CPU
    assert CPU.tested
    assert CPU.torch_device == torch.device("cpu")
    assert len({device.name for device in devices}) == len(devices)


def test_cpu_is_what_cpu_means() -> None:
    assert select_device("cpu") is CPU


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_auto_falls_back_to_the_cpu() -> None:
    assert select_device("auto") is CPU


@pytest.mark.parametrize("wanted", ["cuda:99", "99", "toaster", ""])
def test_an_absent_device_is_refused_and_the_present_ones_are_named(wanted: str) -> None:
    with pytest.raises(DeviceError, match=r"No device .*; this machine has .*cpu\."):
        select_device(wanted)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            torch.AcceleratorError("CUDA error: unspecified launch failure\nCompile with ..."),
            "cpu .* failed or was lost: CUDA error: unspecified launch failure; look at it",
        ),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "ran out"),
        (MemoryError(), "memory ran out"),
    ],
)
def test_a_lost_device_and_ended_memory_are_one_sentence_from_any_stage(
    error: Exception, told: str
) -> None:
    def source() -> Iterator[int]:
        yield 1
        raise error

    with pytest.raises(DeviceError, match=told) as raised:
        list(stream(("read", source()), []))
    assert raised.value.__cause__ is error


def test_on_the_cpu_items_pass_untouched() -> None:
    items = [object() for _ in range(3)]
    assert CPU.lane() is None
    assert all(
        left is right for left, right in zip(stream(("read", items), []), items, strict=True)
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GiB", 4 << 30),
        ("512 MiB", 512 << 20),
        ("1.5G", 1_500_000_000),
        ("800mb", 800_000_000),
        ("64k", 64_000),
        ("123456", 123_456),
        ("10B", 10),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "-4GiB", "4TiB", "0", "0.1B", "4 i", "GiB", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size like 4GiB"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("field", "value"), [("device", ""), ("threads", 0), ("memory", "lots"), ("memory", "0GiB")]
)
def test_a_bad_setting_is_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}"):
        RunConfig(**{field: value})


def test_settings_have_defaults_and_memory_has_bytes() -> None:
    assert RunConfig() == RunConfig(device="auto", threads=None, memory=None)
    assert RunConfig().memory_bytes is None
    assert RunConfig(memory="2GiB").memory_bytes == 2 << 30


@dataclass(frozen=True)
class Picture:
    """The least that a lane asks of an item."""

    planes: tuple[torch.Tensor, ...]
    ready: Any = None

    def tensors(self) -> tuple[torch.Tensor, ...]:
        return self.planes


@pytest.mark.cuda
def test_on_cuda_each_stage_sees_what_the_one_before_wrote() -> None:
    device = select_device("cuda:0")
    streams: list[int] = []

    class AddOne:
        def push(self, item: Picture, /) -> list[Picture]:
            streams.append(torch.cuda.current_stream().cuda_stream)
            # Slow work before the sum, so that a reader that does not wait sees the old values.
            noise = torch.ones(2000, 2000, device="cuda")
            for _ in range(20):
                noise = noise @ noise / 2000
            return [Picture(tuple(plane + noise[0, 0] for plane in item.planes))]

        def flush(self) -> list[Picture]:
            return []

    class Check:
        checked = 0

        def write(self, item: Picture, /) -> None:
            assert (item.planes[0] == self.checked + 3).all()
            self.checked += 1

        def close(self) -> None: ...

    def pictures() -> Iterator[Picture]:
        for number in range(50):
            yield Picture((torch.full((1000, 1000), float(number), device="cuda"),))

    check = Check()
    stages = [(f"add{number}", AddOne()) for number in range(3)]
    Pipeline(("read", pictures()), stages, ("check", check), device=device).run()
    assert check.checked == 50
    assert len(set(streams)) == 3
