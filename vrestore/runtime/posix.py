"""What the operating system knows and does: memory, signals, cores, disks, locks.

The only module that calls what not every system has; each function says what it does elsewhere.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl
    import resource

__all__ = [
    "LONGEST_WAIT_SECONDS",
    "MemoryMeter",
    "free_bytes",
    "fsync_dir",
    "fsync_file",
    "ignore_stops",
    "interrupts_counted",
    "lock_file",
    "physical_memory_bytes",
    "termination_as_interrupt",
    "tune_process",
    "usable_cores",
]

LONGEST_WAIT_SECONDS: Final[float | None] = 0.25 if sys.platform == "win32" else None
"""How long the main thread may wait in one go.  Windows does not wake it for Ctrl-C."""

# ------------------------------------------------------------------------------------ memory


def tune_process() -> bool:
    """Set what libraries read once, at their start; call before torch is imported.

    - OpenMP's idle threads spin for some ten microseconds and then sleep (`GOMP_SPINCOUNT`).  By
      default they spin for milliseconds: on two busy cores, 48 frames from 1080p to 2160p took
      7 to 23 s of processor time, and 3.7 s without spinning.  Where they never spin, waking
      them costs more than a small operation takes.

    Large CPU tensors become cheap to allocate; measured on 1 to 128 MiB float tensors made and
    dropped in a loop (glibc 2.36):

    - Torch asks for huge pages from 2 MiB on (`THP_MEM_ALLOC_ENABLE`, which it reads once): one
      page fault for 2 MiB instead of 512, 24 to 128 MiB tensors in a quarter to half the time.
    - malloc keeps and recycles blocks below 16 MiB and gives larger ones back at once.  glibc's own
      rule raises that border up to 32 MiB as it runs, so that freed memory stays in the heaps:
      the fixed border had 100 MiB less at the peak and was not slower at any size.  Raising it
      further recycles more, at twice the peak.
    - All threads share one heap: with one each, what one of them freed lay idle while another asked
      for more.  480x270 to 960x540 with `lite` took 70 of 850 MiB less, and no longer.

    What the user set in the environment (`GOMP_SPINCOUNT`, `THP_MEM_ALLOC_ENABLE`, `MALLOC_*`,
    `GLIBC_TUNABLES`) is kept.

    Returns:
        Whether malloc was tuned; False where it is not glibc's or the user has set it.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    by_user = "GLIBC_TUNABLES" in os.environ or any(key.startswith("MALLOC_") for key in os.environ)
    if by_user or not _has_glibc():
        return False
    m_trim_threshold, m_mmap_threshold, m_arena_max = -1, -3, -8  # malloc.h
    mallopt = ctypes.CDLL(None).mallopt
    asked = ((m_mmap_threshold, 16 << 20), (m_trim_threshold, 32 << 20), (m_arena_max, 1))
    return all(bool(mallopt(what, much)) for what, much in asked)


def _has_glibc() -> bool:
    if sys.platform != "linux":
        return False
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class MemoryMeter:
    """Resident memory of this process, in bytes; None where the system does not say."""

    @property
    def current_bytes(self) -> int | None:
        """Now.  Linux only."""
        return _status_bytes("VmRSS")

    @property
    def peak_bytes(self) -> int | None:
        """The most so far.  Not on Windows."""
        # First, because rusage's figure survives exec: a small child of a large parent would report
        # the parent's.
        peak = _status_bytes("VmHWM")
        if peak is None and sys.platform != "win32":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            peak *= 1 if sys.platform == "darwin" else 1024
        return peak


def _status_bytes(field: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        key, _, value = line.partition(":")
        if key == field:
            return int(value.split()[0]) * 1024
    return None


def physical_memory_bytes() -> int | None:
    """Memory that this process may use at most: the machine's, or its container's if that is less.

    None on Windows.
    """
    if sys.platform == "win32":
        return None
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = _cgroup(name)
        if limit and limit[0].isdecimal():
            return min(machine, int(limit[0]))
    return machine


# ----------------------------------------------------------------------------------- signals


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Within, SIGTERM raises KeyboardInterrupt as Ctrl-C does, so that a run ends in order.

    Does nothing outside the main thread, or where the program has a handler of its own.
    """
    mine = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    try:
        if mine:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
    except ValueError:  # Not in the main thread.
        mine = False
    try:
        yield
    finally:
        if mine:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def ignore_stops() -> None:
    """From now on Ctrl-C and SIGTERM change nothing: for the last moments of a process, when its
    exit status is settled.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def interrupts_counted() -> Iterator[list[int]]:
    """Within, Ctrl-C and SIGTERM raise nothing: their numbers are added to the list.

    Does nothing outside the main thread, or where the program has handlers of its own.
    """
    came: list[int] = []
    mine: list[int] = []
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is signal.default_int_handler:
                signal.signal(number, lambda number, _: came.append(number))
                mine.append(number)
    except ValueError:  # Not in the main thread.
        mine.clear()
    try:
        yield came
    finally:
        for handled in mine:
            signal.signal(handled, signal.default_int_handler)


# ------------------------------------------------------------------------------------- cores


def usable_cores() -> int:
    """Processor cores that this process may keep busy, at least 1.

    Heeds the affinity mask and the quota of a Linux container, where a machine of 64 cores may
    allow two.
    """
    if sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = _cgroup("cpu.max") or [
        *_cgroup("cpu/cpu.cfs_quota_us"),
        *_cgroup("cpu/cpu.cfs_period_us"),
    ]
    if len(quota) == 2 and all(part.isdecimal() for part in quota) and int(quota[1]) > 0:
        cores = min(cores, math.ceil(int(quota[0]) / int(quota[1])))
    return max(1, cores)


def _cgroup(name: str) -> list[str]:
    """The words of a control file of this process's container (version 2, then 1)."""
    try:
        return Path("/sys/fs/cgroup", name).read_text(encoding="ascii").split()
    except OSError:
        return []


# ------------------------------------------------------------------------------------- disks


def free_bytes(path: str | os.PathLike[str]) -> int:
    """Bytes that may still be written where `path` is or would be.

    Raises:
        OSError: not even the root of the path can be asked.
    """
    place = Path(path).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def fsync_file(path: str | os.PathLike[str]) -> None:
    """Return once the contents of a file are on the disk."""
    # Windows flushes only what was opened for writing.
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_dir(path: str | os.PathLike[str]) -> None:
    """Return once the names in a directory (after a rename) are on the disk.

    Does nothing on Windows and on file systems that cannot do it (some network mounts).
    """
    if sys.platform != "win32":
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(descriptor)


# ------------------------------------------------------------------------------------- locks


@contextmanager
def lock_file(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold an exclusive lock on a file, made if it is not there, for the length of a block.

    The kernel holds it, so it ends with the process however that ends.  The file stays: removing
    it could remove the one that another process has just locked.

    Raises:
        BlockingIOError: someone else holds it (another process, or another block in this one).
        OSError: the file cannot be opened, or its file system has no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(descriptor, os.fspath(path))
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: str) -> None:
    # flock and not lockf: a lockf lock is lost as soon as the process closes any other descriptor
    # of the same file, and does not keep two blocks of one process apart.
    if sys.platform == "win32":
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(errno.EAGAIN, "locked by another process", path) from error
    else:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(error.errno, "locked by another process", path) from None
