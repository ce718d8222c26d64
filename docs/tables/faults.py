"""The table of faults of docs/reliability.md, each made for real.

    PYTHONPATH=. python docs/tables/faults.py --work FOLDER [NAME ...]

Runs `vrestore run` on a clip of noise, does something to it, and tells what was said, the exit
status and what stayed; then the same command again, without the fault, whose result must be the one
of a run that nothing happened to.  Small file systems need root (`mount`); without it their rows
say so.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np

import vrestore

SETTINGS = (
    "-Z", "plain", "-n", "resize", "--encoder", "libx264", "--encoder-preset", "ultrafast",
    "-q", "4", "--threads", "1", "--set", "run.segment_seconds=1", "--progress", "none",
)  # fmt: skip


def write_clip(path: Path, seconds: int = 6) -> None:
    """Noise, so that segments are large, of a shot a second."""
    noise = np.random.default_rng(8)
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        for t in range(25 * seconds):
            if t % 25 == 0:
                low, high = (20, 120) if t % 50 else (100, 235)
                texture = noise.integers(low, high, (240, 512), np.uint8)
            planes = np.concatenate([texture[:, t % 25 : t % 25 + 320], np.full((120, 320), 128)])
            frame = av.VideoFrame.from_ndarray(planes.astype(np.uint8), format="yuv420p")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


class Lab:
    """A folder, a source in it, and the run that is disturbed."""

    def __init__(self, folder: Path, source: Path, whole: bytes) -> None:
        self.folder = folder
        self.original, self.whole = source, whole
        self.source = folder / "in.mkv"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(source, self.source)
        self.output = folder / "out.mkv"
        self.environment = dict(os.environ)
        self.again = True
        """Whether the same command is to go on."""

    @property
    def job(self) -> Path:
        return self.output.with_name(self.output.name + ".job")

    def start(self, *more: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "vrestore", "run", str(self.source), "-o", str(self.output)]
        return subprocess.Popen(
            [*words, *SETTINGS, *more],
            stderr=subprocess.PIPE, text=True, env=self.environment,
        )  # fmt: skip

    def wait(self, process: subprocess.Popen[str], path: Path) -> None:
        """Until a file is there, or the run has ended."""
        while process.poll() is None and not path.exists():
            time.sleep(0.002)

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        _, err = process.communicate(timeout=1200)
        lines = [line for line in err.splitlines() if line.strip()]
        told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        if any("Traceback" in line for line in lines):
            told.append("**traceback**")
        return process.returncode, "; ".join(told or lines[-1:])

    def segment(self, number: int) -> Path:
        return self.job / f"{number:06d}.packets"

    @property
    def left(self) -> str:
        stays = []
        if self.output.is_file():
            whole = self.output.read_bytes() == self.whole
            stays.append("the whole file" if whole else "a file")
        if self.job.is_dir():
            stays.append(f"the job, {len(list(self.job.glob('*.packets')))} segments")
        part = self.output.with_name(self.output.name + ".part")
        stays.extend(["**a part**"] * part.exists())
        return "; ".join(stays) or "nothing"

    def retry(self) -> str:
        """The same command without the fault."""
        if not self.again:
            return ""
        self.environment = dict(os.environ)
        code, told = self.end(self.start())
        if code or not self.output.exists():
            return f"**{code}: {told}**"
        same = self.output.read_bytes() == self.whole
        tidy = sorted(path.name for path in self.folder.iterdir() if ".mkv." in path.name) == []
        return ("same file" if same else "**another file**") + ("" if tidy else ", **not tidy**")


Told = tuple[int, str]
FAULTS: dict[str, Callable[[Lab], Told]] = {}


def fault(name: str) -> Callable[[Callable[[Lab], Told]], Callable[[Lab], Told]]:
    def named(made: Callable[[Lab], Told]) -> Callable[[Lab], Told]:
        FAULTS[name] = made
        return made

    return named


@contextlib.contextmanager
def small_disk(lab: Lab, size: str) -> Iterator[Path]:
    """The output on a file system of its own."""
    disk = lab.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
    lab.output = disk / "out.mkv"
    try:
        yield disk
    finally:
        # What stayed is looked at, and gone on with, on a disk that has room.
        subprocess.run(["mount", "-o", "remount,rw,size=300m", disk], check=True)
        kept = lab.folder / "kept"
        shutil.copytree(disk, kept)
        subprocess.run(["umount", disk], check=True)
        disk.rmdir()
        for path in kept.iterdir():
            path.rename(lab.folder / path.name)
        kept.rmdir()
        lab.output = lab.folder / "out.mkv"


@fault("no room at the start (tmpfs of 40 MiB)")
def no_room(lab: Lab) -> Told:
    with small_disk(lab, "40m"):
        return lab.end(lab.start())


@fault("disk nearly full in the middle (tmpfs of 64.6 MiB)")
def nearly_full(lab: Lab) -> Told:
    with small_disk(lab, "66200k"):
        return lab.end(lab.start())


@fault("another program takes all of the disk in the middle")
def filled(lab: Lab) -> Told:
    with small_disk(lab, "90m") as disk:
        process = lab.start()
        lab.wait(process, lab.segment(0))
        subprocess.run(
            ["dd", "if=/dev/zero", f"of={disk / 'filler'}", "bs=64k"],
            stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        told = lab.end(process)
        (disk / "filler").unlink()
        return told


@fault("output on a disk that is read-only")
def read_only(lab: Lab) -> Told:
    with small_disk(lab, "90m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        return lab.end(lab.start())


@fault("output's folder is not there")
def no_folder(lab: Lab) -> Told:
    lab.output = lab.folder / "none" / "out.mkv"
    told = lab.end(lab.start())
    lab.output = lab.folder / "out.mkv"
    return told


@fault("output exists")
def exists(lab: Lab) -> Told:
    lab.output.write_bytes(b"mine")
    told = lab.end(lab.start())
    lab.again = False
    return told


@fault("source cut off before the run")
def cut_off(lab: Lab) -> Told:
    os.truncate(lab.source, lab.source.stat().st_size // 2)
    told = lab.end(lab.start())
    lab.again = False
    return told


@fault("source cut off while it is read")
def cut_off_meanwhile(lab: Lab) -> Told:
    process = lab.start()
    lab.wait(process, lab.segment(0))
    os.truncate(lab.source, lab.source.stat().st_size // 4)
    told = lab.end(process)
    shutil.copy(lab.original, lab.source)
    return told


@fault("source removed while it is read")
def removed(lab: Lab) -> Told:
    process = lab.start()
    lab.wait(process, lab.segment(0))
    lab.source.unlink()
    told = lab.end(process)
    shutil.copy(lab.original, lab.source)
    lab.again = False
    return told


@fault("another source under the same name")
def other_source(lab: Lab) -> Told:
    _killed(lab)
    os.truncate(lab.source, lab.source.stat().st_size - 100)
    told = lab.end(lab.start())
    shutil.copy(lab.original, lab.source)
    return told


def _killed(lab: Lab) -> Told:
    process = lab.start()
    lab.wait(process, lab.segment(1))
    process.kill()
    return lab.end(process)


@fault("SIGKILL (also what the kernel does when memory ends)")
def killed(lab: Lab) -> Told:
    return _killed(lab)


@fault("SIGTERM, segment done within 10 s")
def terminated(lab: Lab) -> Told:
    process = lab.start()
    lab.wait(process, lab.segment(1))
    process.send_signal(signal.SIGTERM)
    return lab.end(process)


@fault("Ctrl-C twice")
def twice(lab: Lab) -> Told:
    process = lab.start()
    lab.wait(process, lab.segment(1))
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    return lab.end(process)


@fault("SIGTERM in the source pass")
def terminated_early(lab: Lab) -> Told:
    process = lab.start()
    lab.wait(process, lab.job / "lock")
    process.send_signal(signal.SIGTERM)
    return lab.end(process)


@fault("two runs on one output (the second)")
def two(lab: Lab) -> Told:
    first = lab.start()
    lab.wait(first, lab.segment(0))
    first.send_signal(signal.SIGSTOP)
    told = lab.end(lab.start())
    first.kill()
    lab.end(first)
    return told


@fault("weights with one byte changed")
def weights(lab: Lab) -> Told:
    package = Path(vrestore.__file__).parent
    shutil.copytree(package, lab.folder / "vrestore")
    shutil.copytree(package.parent / "pipelines", lab.folder / "pipelines")
    file = lab.folder / "vrestore" / "weights" / "lite.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    lab.environment["PYTHONPATH"] = str(lab.folder)
    lab.environment["PYTHONSAFEPATH"] = "1"
    words = [sys.executable, "-m", "vrestore", "run", str(lab.source), "-o", str(lab.output)]
    process = subprocess.Popen(
        [*words, *SETTINGS, "-n", "lite"], stderr=subprocess.PIPE, text=True, env=lab.environment
    )
    told = lab.end(process)
    shutil.rmtree(lab.folder / "vrestore")
    shutil.rmtree(lab.folder / "pipelines")
    return told


# -------------------------------------------------------------------------- disk, memory, clock


@contextlib.contextmanager
def failing_disk(lab: Lab) -> Iterator[Callable[[], None]]:
    """The source on a file system of its own, whose disk a call makes end in the middle of it."""
    image, disk = lab.folder / "disk.img", lab.folder / "disk"
    disk.mkdir()
    size = lab.source.stat().st_size
    image.write_bytes(b"")
    os.truncate(image, size + (8 << 20))
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, disk], check=True)
    shutil.move(lab.source, disk / "in.mkv")
    subprocess.run(["umount", disk], check=True)
    subprocess.run(["mount", "-o", "loop,ro", image, disk], check=True)
    lab.source.symlink_to(disk / "in.mkv")

    def fail() -> None:
        os.truncate(image, size // 2)
        # What the kernel remembers of the file is forgotten, so that it is read again.
        with (disk / "in.mkv").open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    try:
        yield fail
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
        lab.source.unlink()
        shutil.copy(lab.original, lab.source)
        image.unlink()
        disk.rmdir()


@fault("read error of the source's disk in the middle (EIO of a loop device)")
def read_error(lab: Lab) -> Told:
    with failing_disk(lab) as fail:
        process = lab.start()
        lab.wait(process, lab.segment(0))
        fail()
        return lab.end(process)


@fault("read error of the source's disk before the run")
def read_error_early(lab: Lab) -> Told:
    with failing_disk(lab) as fail:
        fail()
        return lab.end(lab.start())


@fault("memory ends: the kernel kills (cgroup of the run and a program that takes all)")
def kernel_kills(lab: Lab) -> Told:
    group = Path(f"/sys/fs/cgroup/memory/vrestore-{os.getpid()}")
    group.mkdir()
    eater = "open('/proc/self/oom_score_adj', 'w').write('-1000')\na = []\n" + (
        "while True: a.append(bytearray(1 << 20))"
    )
    try:
        process = lab.start()
        (group / "cgroup.procs").write_text(str(process.pid))
        lab.wait(process, lab.segment(1))
        limit = int((group / "memory.usage_in_bytes").read_text()) + (64 << 20)
        (group / "memory.limit_in_bytes").write_text(str(limit))
        other = subprocess.Popen(
            [sys.executable, "-c", eater],
            preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())),
        )
        told = lab.end(process)
        other.kill()
        other.wait()
        return told
    finally:
        group.rmdir()


@fault("address space limited to half of what the run has, in the middle (`prlimit`)")
def address_space(lab: Lab) -> Told:
    process = lab.start()
    lab.wait(process, lab.segment(1))
    status = Path(f"/proc/{process.pid}/status").read_text()
    size = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmSize"))
    # Less than it has: whatever it asks for from now on is refused.
    subprocess.run(["prlimit", f"--pid={process.pid}", f"--as={size << 9}"], check=True)
    lab.again = False
    return lab.end(process)


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {
    const char *file = getenv("SHIFTED_CLOCK");
    return file && access(file, F_OK) == 0 ? -400L * 86400 : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += shift();
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    static int (*real)(struct timeval *, void *);
    if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
    int status = real(now, zone);
    now->tv_sec += shift();
    return status;
}

time_t time(time_t *at) {
    static time_t (*real)(time_t *);
    if (!real) real = dlsym(RTLD_NEXT, "time");
    time_t now = real(0) + shift();
    if (at) *at = now;
    return now;
}
"""


@fault("clock set back by 400 days in the middle (for the run alone, by a preloaded library)")
def clock(lab: Lab) -> Told:
    code, library, shifted = (lab.folder / name for name in ("clock.c", "clock.so", "shifted"))
    code.write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, code, "-ldl"], check=True)
    lab.environment |= {"LD_PRELOAD": str(library), "SHIFTED_CLOCK": str(shifted)}
    process = lab.start()
    lab.wait(process, lab.segment(1))
    shifted.touch()
    lab.again = False
    return lab.end(process)


# ------------------------------------------------------------------------------ devices, workers


LOST = """
import sys
import torch
from vrestore.cli import main
from vrestore.models import reference

push = reference.ResizeRestorer.push

def lost(self, item):
    if item.index == 60:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")
    return push(self, item)

reference.ResizeRestorer.push = lost
sys.exit(main(sys.argv[1:]))
"""


@fault("GPU lost (no GPU was there: torch's error for it, raised at picture 60)")
def gpu_lost(lab: Lab) -> Told:
    words = [sys.executable, "-c", LOST, "run", str(lab.source), "-o", str(lab.output), *SETTINGS]
    return lab.end(subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=lab.environment))


def _workers_of(pid: int) -> list[int]:
    """Processes that make segments, below a driver."""
    parents, found = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(stat[1])
            if b"SegmentWorker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))

    def is_below(child: int) -> bool:
        while child > 1 and child != pid:
            child = parents.get(child, 0)
        return child == pid

    return [worker for worker in found if is_below(worker)]


@fault("one of two workers killed (Ray)")
def worker_killed(lab: Lab) -> Told:
    if importlib.util.find_spec("ray") is None:
        raise OSError("Ray is not installed")
    process = lab.start("--workers", "2")
    lab.wait(process, lab.segment(1))
    workers = _workers_of(process.pid)
    if not workers:
        process.kill()
        raise OSError("no worker was found")
    os.kill(workers[0], signal.SIGKILL)
    lab.again = False
    return lab.end(process)


# --------------------------------------------------------------------------------- damaged files


@fault("last entry of the journal torn")
def torn(lab: Lab) -> Told:
    _killed(lab)
    journal = lab.job / "journal"
    os.truncate(journal, journal.stat().st_size - 20)
    lab.again = False
    return lab.end(lab.start())


@fault("segment shortened")
def shortened(lab: Lab) -> Told:
    _killed(lab)
    os.truncate(lab.segment(0), 100)
    lab.again = False
    return lab.end(lab.start())


@fault("segment altered, its size unchanged")
def altered(lab: Lab) -> Told:
    _killed(lab)
    data = bytearray(lab.segment(0).read_bytes())
    data[len(data) // 2] ^= 1
    lab.segment(0).write_bytes(data)
    return lab.end(lab.start())


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("names", nargs="*", help="parts of names; default: all")
    options = parser.parse_args(arguments)
    options.work.mkdir(exist_ok=True)
    source = options.work / "clip.mkv"
    if not source.exists():
        write_clip(source)
    undisturbed = Lab(options.work / "lab", source, b"")
    began = time.monotonic()
    code, told = undisturbed.end(undisturbed.start())
    if code:
        raise SystemExit(f"the run that nothing happens to failed: {told}")
    print(f"undisturbed: {time.monotonic() - began:.1f} s", file=sys.stderr)
    whole = undisturbed.output.read_bytes()
    print("| fault | what is said | exit | what stays | the same command again |")
    print("|---|---|--:|---|---|")
    for name, made in FAULTS.items():
        if options.names and not any(part in name for part in options.names):
            continue
        lab = Lab(options.work / "lab", source, whole)
        try:
            code, told = made(lab)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"| {name} | not done here: {error} | | | |", flush=True)
            continue
        words = re.sub(re.escape(str(lab.folder)) + "/(disk/)?", "", told).replace("|", "/")
        words = words.replace(str(lab.folder / "disk"), "disk").replace(str(lab.folder), "folder")
        exit_status = "killed" if code == -signal.SIGKILL else str(code)
        print(f"| {name} | {words} | {exit_status} | {lab.left} | {lab.retry()} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
