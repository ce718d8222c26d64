"""Devices: which there are, which one is meant, and how work on one is ordered across threads.

On the CPU nothing here does anything: a device without lanes costs the stages one `is None`.

On CUDA each stage owns a stream, its *lane*, which is current for its whole thread; ops never see
it.  On sending, an event is recorded behind the work that fills an item's tensors and travels with
the item as `ready`; on receiving, the receiver's lane waits for it on the device, and the processor
does not.  PyTorch's allocator knows only the stream that a tensor was made on, and would hand its
memory out again while another lane still reads it; so the receiving lane registers itself with
every tensor (`record_stream`).  A list of references kept "long enough" would be cheaper, but an op
may hold on to an input for as long as it likes, and how long is nobody else's knowledge.  Memory
that is not PyTorch's own (a decoder's surface) is not covered: whoever imports it copies it on its
own lane.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch

from vrestore.errors import DeviceError
from vrestore.runtime.posix import physical_memory_bytes, usable_cores
from vrestore.shortage import is_shortage

__all__ = [
    "CPU",
    "Device",
    "HasTensors",
    "Lane",
    "RunConfig",
    "list_devices",
    "parse_bytes",
    "select_device",
    "settle",
]

T = TypeVar("T")

_LOST: tuple[type[Exception], ...] = tuple(
    error for error in (getattr(torch, "AcceleratorError", None),) if error is not None
)
"""Torch's own, since 2.8."""


@runtime_checkable
class HasTensors(Protocol):
    """What a lane asks of an item that holds tensors: a dataclass with these two."""

    ready: Any
    """Token that says when the tensors may be read; None: now."""

    def tensors(self) -> tuple[torch.Tensor, ...]: ...


def settle() -> None:
    """Lets CUDA compute the same bits in every run, and fp32 as fp32.

    cuDNN neither tries out algorithms nor takes those that add in any order.  What else runs
    forward here has one order by nature; `torch.use_deterministic_algorithms` would refuse
    `kthvalue` for an index that nobody asks for.
    """
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


class Lane:
    """The CUDA stream of one stage; entered by the stage's thread for its whole life.

    Written for CUDA, so far run on no GPU.
    """

    def __init__(self, device: torch.device) -> None:
        settle()
        self._stream = torch.cuda.Stream(device)
        self._current = torch.cuda.stream(self._stream)

    def __enter__(self) -> Lane:
        self._current.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._current.__exit__(exc_type, exc, traceback)

    def hand_over(self, item: T) -> T:
        """The item, marked with an event behind all work on this lane so far."""
        if not isinstance(item, HasTensors) or not any(t.is_cuda for t in item.tensors()):
            return item
        event = torch.cuda.Event()
        event.record(self._stream)
        return dataclasses.replace(item, ready=event)  # type: ignore[type-var]

    def take_over(self, item: object) -> None:
        """Let this lane's further work come after what fills the item."""
        if not isinstance(item, HasTensors) or item.ready is None:
            return
        self._stream.wait_event(item.ready)
        for tensor in item.tensors():
            if tensor.is_cuda:
                tensor.record_stream(self._stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A place where torch can work."""

    name: str
    """As torch and `--gpu` know it: "cpu", "cuda:0", "mps"."""

    description: str
    """For people: "NVIDIA H200", "8 cores"."""

    memory_bytes: int | None
    """Its memory in all, None where nobody says."""

    capability: str = ""
    """What its maker calls the generation, e.g. "sm_90"; empty where there is no such thing."""

    tested: bool = False
    """vrestore's own tests ran on this kind of device; others run the same eager code."""

    @property
    def kind(self) -> str:
        return self.name.partition(":")[0]

    @property
    def index(self) -> int:
        """Its number among those of its kind."""
        return int(self.name.partition(":")[2] or 0)

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.name)

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Within, what says that the device was lost or that memory ran out is a DeviceError."""
        try:
            yield
        except _LOST as error:
            raise DeviceError(
                f"{self.name} ({self.description}) failed or was lost: "
                f"{str(error).partition(chr(10))[0]}; look at it, or choose another device"
            ) from error
        except (RuntimeError, MemoryError) as error:
            if not is_shortage(error):
                raise
            raise DeviceError(
                "memory ran out; end other programs, give a lower --memory or fewer --threads, or "
                "choose a smaller model"
            ) from error

    def lane(self) -> Lane | None:
        """A new lane for the calling stage, None where the device has no streams to order."""
        return Lane(self.torch_device) if self.kind == "cuda" else None


CPU = Device(
    name="cpu",
    description=f"{usable_cores()} cores",
    memory_bytes=physical_memory_bytes(),
    tested=True,
)


def list_devices() -> tuple[Device, ...]:
    """All devices of this machine that torch sees, accelerators first, the CPU last."""
    found: list[Device] = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            capability = f"sm_{facts.major}{facts.minor}"
            if torch.version.hip is not None:
                capability = str(getattr(facts, "gcnArchName", "rocm"))
            found.append(
                Device(
                    name=f"cuda:{index}",
                    description=facts.name,
                    memory_bytes=facts.total_memory,
                    capability=capability,
                )
            )
    if torch.backends.mps.is_available():
        found.append(
            Device(name="mps", description="Apple GPU", memory_bytes=physical_memory_bytes())
        )
    if torch.xpu.is_available():
        for index in range(torch.xpu.device_count()):
            xpu = torch.xpu.get_device_properties(index)
            found.append(
                Device(name=f"xpu:{index}", description=xpu.name, memory_bytes=xpu.total_memory)
            )
    return (*found, CPU)


def select_device(wanted: str) -> Device:
    """The device meant by "auto", "cpu", "cuda", "cuda:1", "1" (the same), "mps" or "xpu:0".

    "auto" is the first device of a kind that vrestore's tests ran on; others are used when named.

    Raises:
        DeviceError: there is none such; names those that there are.
    """
    devices = list_devices()
    if wanted == "auto":
        return next(device for device in devices if device.tested)
    name = f"cuda:{wanted}" if wanted.isdecimal() else wanted
    for device in devices:
        if name in (device.name, device.kind):
            return device
    there = ", ".join(device.name for device in devices)
    raise DeviceError(f"No device {wanted!r} here; this machine has {there}.")


_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?I?)B?", re.IGNORECASE)


def parse_bytes(text: str) -> int:
    """ "4GiB", "512 MiB", "1.5G" or a plain number of bytes; K, M, G are powers of 1000.

    Raises:
        ValueError: it is not such a size, or less than one byte.
    """
    match = _BYTES.fullmatch(text.strip())
    size = 0 if match is None else int(float(match[1]) * _UNITS.get(match[2].upper(), 0))
    if size < 1:
        raise ValueError(f"expected a size like 4GiB or 800MB, got {text!r}")
    return size


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Where and with how much a run works; section [run] of a preset."""

    device: str = "auto"
    """"auto", "cpu", "cuda:0" or just "0", "mps"; several, with commas: a worker on each."""

    threads: int | None = None
    """Threads for each library, None: one per usable core."""

    memory: str | None = None
    """Budget for frames between stages, such as "4GiB"; None: a part of the machine's memory."""

    device_memory: str | None = None
    """What the network may take on its device, such as "8GiB"; None: what the device has."""

    segment_seconds: float = 10.0
    """Longest stretch of the source that an interruption can cost: longer runs are made in closed
    segments and can be resumed.  0: in one piece, whatever its length."""

    experimental: bool = False
    """On a CUDA device, also what no test has run on one yet: kernels of our own, steps captured
    as graphs, pictures that stay on the device from the decoder to the encoder."""

    record: bool = False
    """Whether the command line writes what was done beside the output, as `--record` does."""

    def __post_init__(self) -> None:
        if not all(self.devices):
            raise ValueError(
                f"device must be names such as auto, cpu or cuda:0, got {self.device!r}"
            )
        if len(set(self.devices)) < len(self.devices):
            raise ValueError(f"device names one twice: {self.device!r}")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}")
        if not 0 <= self.segment_seconds <= 3600:
            raise ValueError(f"segment_seconds must be 0 to 3600, got {self.segment_seconds}")
        for name in ("memory", "device_memory"):
            size = getattr(self, name)
            try:
                if size is not None:
                    parse_bytes(size)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None

    @property
    def devices(self) -> tuple[str, ...]:
        """The names in `device`, at least one."""
        return tuple(name.strip() for name in self.device.split(","))

    @property
    def memory_bytes(self) -> int | None:
        """`memory` in bytes."""
        return None if self.memory is None else parse_bytes(self.memory)

    @property
    def device_memory_bytes(self) -> int | None:
        """`device_memory` in bytes."""
        return None if self.device_memory is None else parse_bytes(self.device_memory)
