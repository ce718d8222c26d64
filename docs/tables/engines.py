"""Times the convolutions of our networks on every engine that is installed, as Markdown.

    PYTHONPATH=. python docs/tables/engines.py [--models lite,base] [--size 480x270]

What is timed is `run_layers` at x2: stem, trunk and head, the part of a frame that any engine could
take over; alignment, warps and fusion around it are torch in any case.  All engines see the same
features and are timed in turns, so a busy moment meets all of them alike.  The error is that of the
head's output against torch in fp32, as PSNR of a picture with a peak of 1.

OpenVINO (and NNCF for int8), ONNX Runtime and ncnn are timed where they can be imported.
"""

from __future__ import annotations

import argparse
import io
import math
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vrestore.io.decode import Decoder
from vrestore.models import registry
from vrestore.models.nets.cell import Cell, Layer, run_layers
from vrestore.models.nets.grid import YUV420

Engine = Callable[[], Tensor]
SAMPLE = Path(__file__).parents[2] / "sample_media" / "bunny.mkv"


class Trunk(nn.Module):
    """The layers as a module that others can trace."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        self.rectifiers = nn.ModuleList()
        for layer in layers:
            outputs, inputs = layer.weight.shape[:2]
            convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
            convolution.weight = nn.Parameter(layer.weight, requires_grad=False)
            convolution.bias = nn.Parameter(layer.bias, requires_grad=False)
            self.convolutions.append(convolution)
            rectifier = nn.PReLU(outputs)
            rectifier.weight = nn.Parameter(layer.slope, requires_grad=False)
            self.rectifiers.append(rectifier)

    def forward(self, features: Tensor) -> Tensor:
        *body, head = self.convolutions
        for convolution, rectifier in zip(body, self.rectifiers, strict=False):
            features = rectifier(convolution(features))
        result: Tensor = head(features)
        return result


def features_of(size: tuple[int, int], count: int) -> list[Tensor]:
    """(1, 28, h, w) features as the trunk sees them, of the sample's frames, enlarged to `size`."""
    width, height = size
    made = []
    with Decoder(str(SAMPLE)) as frames:
        for frame in islice(frames, 0, 8 * count, 8):
            planes = [p.float()[None, None] / 255 - 0.5 for p in frame.planes[:3]]
            luma = F.interpolate(planes[0], size=(height // 2 * 2, width // 2 * 2))
            grid = luma.shape[2] // 2, luma.shape[3] // 2
            chroma = [F.interpolate(p, size=grid) for p in planes[1:]]
            cells = torch.cat((F.pixel_unshuffle(luma, 2), *chroma), 1)
            maps = torch.zeros(1, 4, *grid)
            maps[:, 2], maps[:, 3] = 0.1, 0.4
            made.append(torch.cat((cells, torch.zeros_like(cells), maps), 1))
    return made


def onnx_of(trunk: Trunk, example: Tensor) -> bytes:
    buffer = io.BytesIO()
    torch.onnx.export(
        trunk, (example,), buffer, input_names=["x"], output_names=["y"], dynamo=False
    )
    return buffer.getvalue()


def engines(
    layers: Sequence[Layer], half: Sequence[Layer], examples: Sequence[Tensor], threads: int,
    folder: Path,
) -> dict[str, Engine]:  # fmt: skip
    """Every engine that can be had, by name, each over the first example."""
    x = examples[0]
    trunk = Trunk(layers).eval()
    last = x.contiguous(memory_format=torch.channels_last)
    found: dict[str, Engine] = {
        "torch fp32, channels last (what ships)": lambda: run_layers(layers, x, None),
        "torch fp32, NCHW": lambda: trunk(x),
        "torch bf16, channels last (what ships where the CPU has it)": (
            lambda: run_layers(half, x, None)
        ),
    }
    module = trunk.to(memory_format=torch.channels_last)
    frozen = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(module, last)))
    found["torch fp32, traced and frozen, channels last"] = lambda: frozen(last)
    compiled = torch.compile(module)
    found["torch fp32, compiled"] = lambda: compiled(last)
    found |= _onnxruntime(trunk, x, threads)
    found |= _openvino(trunk, examples, threads)
    found |= _ncnn(layers, x, threads, folder)
    return found


def _onnxruntime(trunk: Trunk, x: Tensor, threads: int) -> dict[str, Engine]:
    try:
        import onnxruntime
    except ImportError:
        return {}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(onnx_of(trunk, x), options)
    array = x.numpy()
    return {"ONNX Runtime fp32": lambda: torch.from_numpy(session.run(None, {"x": array})[0])}


def _openvino(trunk: Trunk, examples: Sequence[Tensor], threads: int) -> dict[str, Engine]:
    try:
        import openvino
    except ImportError:
        return {}
    core = openvino.Core()
    model = core.read_model(onnx_of(trunk, examples[0]))
    array = examples[0].numpy()

    def engine(net: object, precision: str) -> Engine:
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
        }
        request = core.compile_model(net, "CPU", settings).create_infer_request()

        def infer() -> Tensor:
            request.infer({0: array})
            return torch.from_numpy(request.get_output_tensor(0).data.copy())

        return infer

    found = {"OpenVINO fp32": engine(model, "f32"), "OpenVINO bf16": engine(model, "bf16")}
    try:
        import nncf
    except ImportError:
        return found
    nncf.set_log_level(40)
    calibration = nncf.Dataset([e.numpy() for e in examples[1:]])
    found["OpenVINO int8"] = engine(nncf.quantize(model, calibration), "f32")
    return found


def _ncnn(layers: Sequence[Layer], x: Tensor, threads: int, folder: Path) -> dict[str, Engine]:
    try:
        import ncnn
    except ImportError:
        return {}
    lines, data, blob = ["Input in 0 1 b0"], [], 0
    for number, layer in enumerate(layers):
        outputs = layer.weight.shape[0]
        lines.append(
            f"Convolution c{number} 1 1 b{blob} b{blob + 1} 0={outputs} 1=3 4=1 5=1 "
            f"6={layer.weight.numel()}"
        )
        data.append(b"\0\0\0\0" + layer.weight.float().numpy().tobytes())
        data.append(layer.bias.float().numpy().tobytes())
        blob += 1
        if number < len(layers) - 1:
            lines.append(f"PReLU r{number} 1 1 b{blob} b{blob + 1} 0={outputs}")
            data.append(layer.slope.float().numpy().tobytes())
            blob += 1
    parameters, weights = folder / "trunk.param", folder / "trunk.bin"
    parameters.write_text("\n".join(["7767517", f"{len(lines)} {blob + 1}", *lines]) + "\n")
    weights.write_bytes(b"".join(data))
    array = np.ascontiguousarray(x[0].numpy())

    def engine(half: bool) -> Engine:
        net = ncnn.Net()
        net.opt.num_threads = threads
        net.opt.use_bf16_storage = half
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        if net.load_param(str(parameters)) or net.load_model(str(weights)):
            raise RuntimeError("ncnn does not take the trunk")

        def infer() -> Tensor:
            with net.create_extractor() as run:
                run.input("b0", ncnn.Mat(array))
                return torch.from_numpy(np.array(run.extract(f"b{blob}")[1]))[None]

        return infer

    return {"ncnn fp32 (Winograd)": engine(False), "ncnn, bf16 storage": engine(True)}


def measured(found: dict[str, Engine], seconds: float) -> dict[str, list[float]]:
    """Milliseconds of each call, all engines in turns."""
    for engine in found.values():
        engine(), engine()
    times: dict[str, list[float]] = {name: [] for name in found}
    end = time.perf_counter() + seconds * len(found)
    while time.perf_counter() < end or min(map(len, times.values())) < 5:
        for name, engine in found.items():
            start = time.perf_counter()
            engine()
            times[name].append(1000 * (time.perf_counter() - start))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="lite,base")
    parser.add_argument("--size", default="480x270", help="of the source")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each engine")
    args = parser.parse_args()
    width, height = (int(n) for n in args.size.split("x"))
    torch.set_num_threads(args.threads)
    for name in args.models.split(","):
        spec = registry.find(name)
        cell = Cell(**spec.arch_args).eval().requires_grad_(False)
        cell.load_state_dict({k: v.float() for k, v in registry.load_weights(spec).items()})
        layers = cell.kernels(YUV420, 2).layers
        half = cell.kernels(YUV420, 2, torch.bfloat16).layers
        examples = features_of((width, height), 6)
        macs = sum(layer.weight.numel() for layer in layers) * examples[0][0, 0].numel()
        print(f"\n### {name}, {args.size} x2, {macs / 1e9:.2f} GMAC, {args.threads} threads\n")
        print("| engine | median ms | best ms | GMAC/s | against what ships in fp32 | PSNR, dB |")
        print("|---|--:|--:|--:|--:|--:|")
        with torch.inference_mode(), TemporaryDirectory() as folder:
            found = engines(layers, half, examples, args.threads, Path(folder))
            truth = next(iter(found.values()))()
            times = measured(found, args.seconds)
            ours = statistics.median(next(iter(times.values())))
            for engine, taken in times.items():
                error = float((found[engine]().float() - truth).square().mean())
                psnr = "-" if error == 0 else f"{-10 * math.log10(error):.1f}"
                middle = statistics.median(taken)
                print(
                    f"| {engine} | {middle:.1f} | {min(taken):.1f} | {macs / middle / 1e6:.0f} "
                    f"| {ours / middle:.2f} | {psnr} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
