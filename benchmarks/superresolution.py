"""Enlargers on Set5, latency, 12 megapixels: `python -m benchmarks.superresolution --data set5.zip`.

Scores by the protocol of the papers (`translate.metrics.enlarged`), of pictures as the pipeline makes them,
beside MATLAB's bicubic. Latency is that of 128 x 128 px, each way of running the network in a process of its
own, against plain eager PyTorch (float32, channel by channel, glibc's own allocator settings); its share of
the limit counts the network's own multiplications and is taken from a convolution in the same process.
"""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

WAYS = ("plain float32", "autocast, bf16", "built in, bf16", "OpenVINO, bf16")
SIDE, RUNS = 128, 15  # pixels of the input timed; translations after 3 to warm up: the median counts
CROP = 96  # pixels, side of a crop of the sheet, shown twice as large


@dataclass(frozen=True, kw_only=True)
class Settings:
    data: str  # set5.zip or its folder: hr/*.png and lr_x4/*.png
    models: tuple[str, ...] = ("photo-x4", "photo-x4-sharp", "photo-x4-fast")  # names or folders
    ensemble: bool = True  # also score each as the mean of eight views
    speed: bool = True  # also measure latency
    large: bool = True  # also a photograph of 4000 x 3000
    sheet: Path | None = None  # write five crops, side by side, into this picture


def pairs(data: str, scale: int):
    """Low and high resolution of each picture, uint8 [3, H, W], cut to multiples of the scale."""
    from datasets import pictures
    from datasets.sources import open_source

    lows, highs = (open_source(f"{data}/{part}") for part in (f"lr_x{scale}", "hr"))
    found = []
    for number in range(len(lows)):
        low, high = (pictures.decode(source.read(number), 3, 8) for source in (lows, highs))
        found.append((low, high[:, : scale * low.shape[1], : scale * low.shape[2]]))
    return found


def scores(settings: Settings) -> dict[str, list]:
    """Prints a row for each way to enlarge; returns their pictures [1, 3, H, W] in [-1, 1]."""
    from datasets.lowres import imresize, valued
    from translate.inference.images import Picture
    from translate.inference.pipeline import Pipeline
    from translate.metrics import evaluation, evidence

    found = pairs(settings.data, 4)
    truths = [valued(high)[None] for _, high in found]
    made = {"bicubic": [valued(imresize(low, *high.shape[1:]))[None] for low, high in found]}
    parameters = {"bicubic": 0}
    for model in settings.models:
        pipeline = Pipeline.from_pretrained(model)
        for ensemble in (False, True)[: 1 + settings.ensemble]:
            name = Path(model).name + ", eight views" * ensemble
            made[name] = [
                pipeline.translate(Picture(tensor=valued(low)[None]), self_ensemble=ensemble).tensor.float()
                for low, _ in found
            ]
            parameters[name] = sum(p.numel() for p in pipeline.task.G.parameters())
    print("| | parameters | PSNR Y | SSIM Y | PSNR RGB |\n|---|---|---|---|---|")
    nobody = evaluation.Judges()
    for name, results in made.items():
        e = evidence.of_pairs(pipeline.task, results, truths, made["bicubic"], "bicubic", "test")
        taken = evaluation.scores(e.made, e, nobody, ["psnr", "ssim", "psnr-rgb"])
        y, ssim, rgb = (score.value for score in taken.values())
        count = f"{parameters[name]:,}" if parameters[name] else ""
        print(f"| {name} | {count} | {y:.2f} | {ssim:.4f} | {rgb:.2f} |", flush=True)
    print("\n" + "; ".join(score.protocol for score in taken.values()))
    return made | {"truth": truths}


def sheet(made: dict[str, list], path: Path) -> None:
    """One crop of each picture, where bicubic is farthest from the truth, through every way to enlarge."""
    import torch
    import torch.nn.functional as F

    from translate import figures

    columns = {name: results for name, results in made.items() if "views" not in name}
    crops: dict[str, list] = {name: [] for name in columns}
    for number, truth in enumerate(made["truth"]):
        error = F.avg_pool2d((made["bicubic"][number] - truth).square().mean(1, keepdim=True), CROP, 8)
        top, left = (8 * int(i) for i in torch.unravel_index(error[0, 0].argmax(), error.shape[2:]))
        for name, results in columns.items():
            crop = results[number][..., top : top + CROP, left : left + CROP]
            crops[name].append(F.interpolate(crop, scale_factor=2)[0])
    figures.grid({name: torch.stack(parts) for name, parts in crops.items()}).save(path)


def latency(model: str, way: str) -> dict:
    """Seconds of one enlargement, its GFLOP, and the machine's limit, in this process."""
    if not way.startswith("plain"):
        from translate import machine

        machine.tune()
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.training import convolution_limit
    from translate.inference.catalog import locate
    from translate.inference.engines import OpenVINO, Packed
    from translate.training.checkpoint import read_model

    task = read_model(locate(model)).requires_grad_(False)
    bf16 = way.endswith("bf16")
    x = torch.rand(1, 3, SIDE, SIDE) * 2 - 1
    engine = {"OpenVINO, bf16": lambda: OpenVINO(task, bf16=True), "built in, bf16": lambda: Packed(task)}
    run = engine[way]() if way in engine else lambda x, direction: task(image=x)
    x = x if way.startswith(("plain", "OpenVINO")) else x.contiguous(memory_format=torch.channels_last)
    times = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for _ in range(RUNS + 3):
            start = time.perf_counter()
            run(x, "AtoB")
            times.append(time.perf_counter() - start)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        task(image=x)
    limit = convolution_limit(torch.bfloat16 if bf16 else torch.float32)
    seconds = sorted(times[3:])[RUNS // 2]
    return {"seconds": seconds, "GFLOP": counter.get_total_flops() / 1e9, "limit": limit}


def photograph(model: str) -> dict:
    """4000 x 3000 px through the pipeline to the bytes of a PNG: seconds, tiles, peak memory."""
    from translate import machine

    machine.tune()
    import torch

    from translate.inference import images
    from translate.inference.images import Picture
    from translate.inference.pipeline import Pipeline

    pipeline = Pipeline.from_pretrained(model)
    picture = Picture(tensor=torch.rand(1, 3, 30, 40).repeat(1, 1, 100, 100) * 2 - 1)
    tiles = []
    start = time.perf_counter()
    result = pipeline.translate(picture, progress=lambda done, of: tiles.append((done, of)))
    seconds = time.perf_counter() - start
    written = len(images.encode(result.tensor, result))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    facts = {"seconds": seconds, "peak GiB": peak, "reports of progress": len(tiles)}
    return facts | {"size": result.size, "MB of PNG": written / 1e6}


def child(*words: str) -> dict:
    command = [sys.executable, "-m", "benchmarks.superresolution", *words]
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads}
    )
    return json.loads(done.stdout.splitlines()[-1])


def speeds(models: tuple[str, ...]) -> None:
    from importlib.util import find_spec

    ways = [way for way in WAYS if not way.startswith("OpenVINO") or find_spec("openvino")]
    print(f"\n| {SIDE} px | way | ms | times plain | share of the limit |\n|---|---|---|---|---|")
    for model in models:
        found = {way: child("--latency", model, way) for way in ways}
        for way, facts in found.items():
            seconds, times = facts["seconds"], found[ways[0]]["seconds"] / facts["seconds"]
            share = facts["GFLOP"] / seconds / facts["limit"]
            name = f"{Path(model).name}, {facts['GFLOP']:.1f} GFLOP"
            print(f"| {name} | {way} | {1000 * seconds:.0f} | {times:.2f} | {share:.0%} |", flush=True)


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    made = scores(settings)
    if settings.sheet:
        sheet(made, settings.sheet)
    if settings.speed:
        speeds(settings.models)
    if settings.large:
        print("\n12 megapixels:")
        for model in settings.models:
            print(f"{Path(model).name}: {child('--photograph', model)}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--latency"]:
        print(json.dumps(latency(*sys.argv[2:4])))
    elif sys.argv[1:2] == ["--photograph"]:
        print(json.dumps(photograph(sys.argv[2])))
    else:
        import tyro

        from translate.cli import exit_code

        sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
