"""Measures the network on one GPU, as Markdown; needs torch and Triton, neither FFmpeg nor PyAV.

    PYTHONPATH=. python docs/tables/gpu.py [--models base,lite] [--seconds 4]

Frames lie on the device as code values and stay there: what is timed is the network with what comes
before and after it, without decoder and encoder.  Sections can be left out (--only).  Without a GPU
everything runs on the CPU at a size of its own, kernels interpreted, to see that it runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

import torch.nn.functional as F

from vrestore.media import (
    ChromaLocation,
    Coding,
    ColorModel,
    ColorSpec,
    Frame,
    Matrix,
    Range,
    SampleFormat,
    Timestamp,
)
from vrestore.models import registry
from vrestore.models.captured import Tapes
from vrestore.models.kernels.codes import Codes, Scale
from vrestore.models.kernels.step import FusedStep
from vrestore.models.nets.cell import Cell, run_layers
from vrestore.models.nets.grid import YUV420
from vrestore.models.temporal import TemporalRestorer
from vrestore.ops.dither import Dither
from vrestore.ops.levels import Normalise, Quantise, plane_levels
from vrestore.runtime.device import settle

CASES = (("1920x1080", 2), ("3840x2160", 2), ("960x540", 4), ("720x576", 1), ("7680x4320", 1))
SECTIONS = ("peaks", "widths", "equality", "speed", "repeat", "memory")
HALF = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
COLOR = ColorSpec(matrix=Matrix.BT709, range=Range.LIMITED, chroma_location=ChromaLocation.LEFT)


def yuv420(depth: int) -> SampleFormat:
    return SampleFormat(model=ColorModel.YCBCR, depth=depth, log2_chroma_w=1, log2_chroma_h=1)


def frames(
    count: int, width: int, height: int, device: torch.device, depth: int = 8,
    color: ColorSpec = COLOR, seed: int = 0,
) -> list[Frame]:  # fmt: skip
    """A textured picture that slides, with noise: code values on the device."""
    generator = torch.Generator().manual_seed(seed)
    form, speed = yuv420(depth), 4
    wide = width + speed * count
    canvas = [
        F.interpolate(
            torch.rand(1, 1, max(2, rows // 8), max(2, columns // 8), generator=generator),
            size=(rows, columns), mode="bilinear",
        )[0, 0].to(device)
        for rows, columns in (form.plane_size(plane, wide, height) for plane in range(3))
    ]  # fmt: skip
    made = []
    for t in range(count):
        planes = []
        for plane, whole in enumerate(canvas):
            rows, columns = form.plane_size(plane, width, height)
            left = speed * t // (2 if plane else 1)
            part = whole[:rows, left : left + columns]
            noisy = part + 0.02 * torch.randn(rows, columns, generator=generator).to(device)
            codes = (noisy.clamp(0, 1) * ((1 << depth) - 1)).to(torch.int32)
            planes.append(codes.to(form.code_dtype))
        made.append(Frame(
            planes=tuple(planes), format=form, coding=Coding.CODE, color=color, index=t,
            timestamp=Timestamp(pts=t, time_base=Fraction(1, 25)), duration=1, shot_start=t == 0,
        ))  # fmt: skip
    return made


def codes_of(source: SampleFormat, color: ColorSpec, form: SampleFormat, to: ColorSpec) -> Codes:
    def scales(form: SampleFormat, color: ColorSpec) -> tuple[Scale, Scale]:
        luma, chroma = (plane_levels(form, color.range, plane) for plane in (0, 1))
        return Scale(luma.gain, luma.zero), Scale(chroma.gain, chroma.zero)

    dither = Dither(0) if form.depth < source.depth else None
    return Codes(
        source=scales(source, color), target=scales(form, to), format=form, color=to,
        dither=None if dither is None else dither.tile(),
        place=None if dither is None else dither.place,
    )  # fmt: skip


class Way:
    """One way to restore: `push` and `flush` from code values to code values."""

    def __init__(
        self, name: str, scale: int, dtype: str, device: torch.device, *, kernels: bool,
        tapes: bool = False, tile: int | None = 0, source: SampleFormat | None = None,
        color: ColorSpec = COLOR, target: SampleFormat | None = None, to: ColorSpec = COLOR,
    ) -> None:  # fmt: skip
        spec = registry.find(name)
        self.cell = Cell(**spec.arch_args)
        self.cell.load_state_dict({k: v.float() for k, v in registry.load_weights(spec).items()})
        self.cell = self.cell.to(device).eval().requires_grad_(False)
        form = source or yuv420(8)
        made = target or yuv420(10)
        self.restorer = TemporalRestorer(
            spec, self.cell, scale, strength=spec.strength, tile=tile, dtype=HALF[dtype],
            device=device,
            fused=FusedStep(self.cell, Tapes() if tapes else None) if kernels else None,
            codes=codes_of(form, color, made, to) if kernels else None,
        )  # fmt: skip
        self.ops: list[object] = [self.restorer]
        if not kernels:
            dither = Dither(0)
            quantise = Quantise(made, to, source_depth=form.depth, dither=dither)
            self.ops = [Normalise(color), self.restorer, quantise]

    def push(self, frame: Frame) -> list[Frame]:
        items = [frame]
        for op in self.ops:
            items = [out for item in items for out in op.push(item)]  # type: ignore[attr-defined]
        return items

    def flush(self) -> list[Frame]:
        """The rest; only the network holds anything back."""
        items: list[Frame] = list(self.restorer.flush())
        for op in self.ops[self.ops.index(self.restorer) + 1 :]:
            items = [out for item in items for out in op.push(item)]  # type: ignore[attr-defined]
        return items

    def run(self, given: Sequence[Frame]) -> list[Frame]:
        return [out for frame in given for out in self.push(frame)] + self.flush()


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(work: Callable[[], object], device: torch.device, seconds: float) -> list[float]:
    """Seconds of each run, after a warm-up, waiting for each."""
    for _ in range(3 if device.type == "cuda" else 1):
        work()
    wait(device)
    taken: list[float] = []
    begin = time.perf_counter()
    while not taken or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        work()
        wait(device)
        taken.append(time.perf_counter() - start)
    return taken


# --------------------------------------------------------------------------------- sections


def peaks(args: argparse.Namespace) -> float:
    """Of a large matrix product in fp16, in TFLOP/s: what the shares are of."""
    side = 8192 if args.device.type == "cuda" else 256
    best = 0.0
    for name in ("bf16", "fp16"):
        a, b = (torch.randn(side, side, device=args.device).to(HALF[name]) for _ in range(2))
        rate = 2 * side**3 / min(timed(lambda a=a, b=b: a @ b, args.device, 1.0)) / 1e12
        best = max(best, rate)
        print(f"- matrix product {side}, {name}: {rate:.1f} TFLOP/s")
    numbers = torch.empty((2**30 if args.device.type == "cuda" else 2**22) // 4, device=args.device)
    other = torch.empty_like(numbers)
    taken = min(timed(lambda: other.copy_(numbers), args.device, 1.0))
    print(f"- copy: {2 * numbers.nbytes / taken / 1e9:.0f} GB/s, read and written")
    return best


def widths(args: argparse.Namespace, peak: float) -> None:
    """3x3 layers with rectifiers, by width, at the grid of 1080p."""
    size = (540, 960) if args.device.type == "cuda" else (18, 32)
    print("\n| channels | dtype | TFLOP/s | share of the matrix product |\n|---|---|---|---|")
    for width, name in product((32, 48, 64, 128), ("fp16", "bf16")):
        cell = Cell(width, 10, (1,)).to(args.device).requires_grad_(False)
        layers = cell.kernels(YUV420, 1, HALF[name]).layers[1:-1]
        given = torch.randn(1, width, *size, device=args.device).to(HALF[name])
        given = given.contiguous(memory_format=torch.channels_last)
        work = lambda l=layers, g=given: run_layers((*l, l[-1]), g, None, widen=False)  # noqa: E731, E741
        taken = statistics.median(timed(work, args.device, 1.0))
        rate = 2 * 9 * width * width * (len(layers) + 1) * size[0] * size[1] / taken / 1e12
        print(f"| {width} | {name} | {rate:.1f} | {100 * rate / peak:.0f} % |")


def equality(args: argparse.Namespace, peak: float) -> None:
    """Kernels against eager torch on the device, in fp32, in code values.

    A sample whose flow ends half way between two others is near to both; which of them bounds it is
    up to the last bit of its place, so a few may differ by more than one.
    """
    cuda = args.device.type == "cuda"
    sizes = ((1920, 1080), (177, 143)) if cuda else ((20, 16),)
    depths = ((8, 8), (8, 10), (10, 8), (10, 10), (12, 12), (16, 16)) if cuda else ((8, 10),)
    sitings = tuple(ChromaLocation)[1:] if cuda else (ChromaLocation.LEFT,)
    print("\n| depths | worst | differing | by more than one |\n|---|---|---|---|")
    for depth, out in depths:
        worst, differing, beyond, count = 0, 0, 0, 0
        cases = product(sizes, (1, 2, 4) if cuda else (1,), sitings, (Range.LIMITED, Range.FULL))
        for number, ((width, height), scale, siting, levels) in enumerate(cases):
            # Large frames tell nothing of layouts: one of them is enough.
            if width > 1000 and number % 7:
                continue
            color = replace(COLOR, chroma_location=siting, range=levels)
            made = frames(3, width, height, args.device, depth, color)
            results = [
                Way("lite", scale, "fp32", args.device, kernels=kernels, source=yuv420(depth),
                    color=color, target=yuv420(out), to=color).run(made)
                for kernels in (False, True)
            ]  # fmt: skip
            for one, other in zip(*results, strict=True):
                for p, q in zip(one.planes, other.planes, strict=True):
                    error = (p.to(torch.int32) - q.to(torch.int32)).abs()
                    worst = max(worst, int(error.max()))
                    differing += int((error > 0).sum())
                    beyond += int((error > 1).sum())
                    count += error.numel()
        share = f"{100 * differing / count:.4f} % | {100 * beyond / count:.6f} %"
        print(f"| {depth} to {out} | {worst} | {share} |")


def speed(args: argparse.Namespace, peak: float) -> None:
    """Frames a second of the network alone, and its share of the matrix product."""
    print(
        "\n| model | case | way | fps | ms p50 | ms p95 | GMAC | share | peak MiB |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    for name, (size, scale) in product(args.models, args.cases):
        width, height = map(int, size.split("x"))
        given = frames(8, width, height, args.device)
        half = registry.find(name).half or "fp32"
        ways = {
            f"eager, {half}": {"dtype": half, "kernels": False},
            f"kernels, {half}": {"dtype": half, "kernels": True},
            f"kernels recorded, {half}": {"dtype": half, "kernels": True, "tapes": True},
        }
        for label, options in ways.items():
            if options.get("tapes") and args.device.type != "cuda":
                continue
            try:
                row = _speed_of(name, scale, options, given, args)
            except torch.OutOfMemoryError:
                row = None
            _forget(args.device)
            if row is None:
                print(f"| {name} | {size} x{scale} | {label} | out of memory | | | | | |")
                continue
            taken, macs, memory = row
            middle = statistics.median(taken)
            last = sorted(taken)[min(len(taken) - 1, int(0.95 * len(taken)))]
            print(
                f"| {name} | {size} x{scale} | {label} | {1 / statistics.mean(taken):.1f} | "
                f"{1e3 * middle:.2f} | {1e3 * last:.2f} | {macs / 1e9:.0f} | "
                f"{200 * macs / middle / 1e12 / peak:.0f} % | {memory / 2**20:.0f} |"
            )


def _speed_of(
    name: str, scale: int, options: dict[str, object], given: Sequence[Frame],
    args: argparse.Namespace,
) -> tuple[list[float], int, int]:  # fmt: skip
    """Seconds of each frame, multiplications of its trunk, and the most memory that was taken."""
    way = Way(name, scale, device=args.device, **options)  # type: ignore[arg-type]
    if args.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(args.device)
    number = iter(range(10**9))

    def push() -> None:
        # Never the start of a shot but once: the middle of a film is what counts.
        n = next(number)
        way.push(replace(given[n % len(given)], shot_start=n == 0, index=n))

    for _ in range(4):
        push()
    taken = timed(push, args.device, args.seconds)
    layers = way.cell.kernels(YUV420, scale).layers
    cells = -(-given[0].height // 2) * -(-given[0].width // 2)
    macs = sum(layer.weight.numel() for layer in layers) * cells
    memory = torch.cuda.max_memory_allocated(args.device) if args.device.type == "cuda" else 0
    return taken, macs, memory


def _forget(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()


def repeat(args: argparse.Namespace, peak: float) -> None:
    """Whether two runs give the same bits."""
    width, height = (1920, 1080) if args.device.type == "cuda" else (24, 16)
    given = frames(12 if args.device.type == "cuda" else 3, width, height, args.device)
    for name in args.models:
        half = registry.find(name).half or "fp32"
        for kernels, tapes in ((False, False), (True, False), (True, True)):
            if args.device.type != "cuda" and kernels:
                continue
            one, other = (
                Way(name, 2, half, args.device, kernels=kernels, tapes=tapes).run(given)
                for _ in range(2)
            )
            same = all(
                torch.equal(p, q)
                for a, b in zip(one, other, strict=True)
                for p, q in zip(a.planes, b.planes, strict=True)
            )
            how = "recorded" if tapes else "kernels" if kernels else "eager"
            print(f"- {name}, {how}: two runs give {'the same bits' if same else 'OTHER BITS'}")


def memory(args: argparse.Namespace, peak: float) -> None:
    """Whether frames survive that memory runs out, and how near they stay."""
    cuda = args.device.type == "cuda"
    given = frames(6, *((1920, 1080) if cuda else (48, 96)), args.device)
    for name, kernels in product(args.models, (False, True) if cuda else (False,)):
        for dtype in ("fp32", registry.find(name).half or "fp32"):
            whole, short = (Way(name, 2, dtype, args.device, kernels=kernels) for _ in range(2))
            _fail_once(short, at=2)
            expected, made = whole.run(given), short.run(given)
            errors = [
                (p.float() - q.float()).div(1023).square().mean()
                for a, b in zip(expected, made, strict=True)
                for p, q in zip(a.planes, b.planes, strict=True)
            ]
            decibels = float(-10 * torch.log10(torch.stack(errors).max().clamp_min(1e-12)))
            complete = [f.index for f in made] == [f.index for f in given]
            print(
                f"- {name} {dtype}{', kernels' if kernels else ''}: out of memory at frame 2, "
                f"{len(made)} of {len(given)} frames{'' if complete else ' IN ANOTHER ORDER'}, "
                f"at least {decibels:.0f} dB"
            )
            _forget(args.device)


def _fail_once(way: Way, at: int) -> None:
    """Lets the network run out of memory at a frame, until its bands are smaller."""
    restorer = way.restorer
    real = way.cell.forward if restorer._fused is None else restorer._fused._run
    calls = iter(range(10**6))

    def failing(*given: object, **options: object) -> object:
        if next(calls) == at:
            raise torch.OutOfMemoryError("injected")
        return real(*given, **options)  # type: ignore[arg-type]

    if restorer._fused is None:
        way.cell.forward = failing  # type: ignore[method-assign, assignment]
    else:
        restorer._fused._run = failing  # type: ignore[method-assign, assignment]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", default="base,lite", type=lambda text: text.split(","))
    parser.add_argument("--only", default=",".join(SECTIONS), type=lambda text: text.split(","))
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", default=4.0, type=float, help="of each row of speed")
    parser.add_argument(
        "--cases", default=None, help="such as 1920x1080:2,960x540:4; size and scale"
    )
    args = parser.parse_args()
    if unknown := set(args.only) - set(SECTIONS):
        parser.error(f"--only knows {', '.join(SECTIONS)}, not {', '.join(sorted(unknown))}")
    args.device = torch.device(args.device)
    small = (("24x16", 1),)
    args.cases = (
        [(size, int(scale)) for size, scale in (case.split(":") for case in args.cases.split(","))]
        if args.cases
        else CASES
        if args.device.type == "cuda"
        else small
    )
    settle()
    facts = "cpu, kernels interpreted"
    if args.device.type == "cuda":
        torch.cuda.set_device(args.device)
        facts = torch.cuda.get_device_name(args.device)
    print(f"- {facts}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}")
    with torch.no_grad():
        peak = peaks(args)
        for section in (widths, equality, speed, repeat, memory):
            if section.__name__ in args.only:
                section(args, peak)


if __name__ == "__main__":
    main()
