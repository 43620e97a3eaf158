"""Latency of a translation, and a 12-megapixel photograph: `python -m benchmarks.inference`.

Every way of running a network is measured in a process of its own, at 256 px, batch 1, 2 threads or what
OMP_NUM_THREADS says; the ratio is to plain eager PyTorch: float32, the layers as torch has them, pictures
channel by channel, glibc's own allocator settings.
"""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

CASES = {"ResNet-9, 256 px": "cyclegan", "U-Net, 256 px": "pix2pix"}
WAYS = (
    "plain float32",
    "channels_last, float32",
    "packed, float32",
    "autocast, bf16",
    "packed, bf16",
    "OpenVINO, float32",
    "OpenVINO, bf16",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    runs: int = 15  # translations per case after 3 to warm up; the median counts
    ways: tuple[str, ...] = WAYS  # where bfloat16 is emulated, it takes a minute a picture
    large: bool = True  # also a photograph of 4000 x 3000
    output: Path | None = None  # write the numbers as JSON here


def build(task_name: str):
    import torch

    from translate.task import DataInfo, find

    torch.manual_seed(0)
    Task = find(task_name)
    info = DataInfo(kind=Task.data, name="noise", count=1, channels={"a": 3, "b": 3})
    return Task(Task.Config(), info).eval().requires_grad_(False)


def measure(case: str, way: str, runs: int) -> dict:
    """Median seconds of one translation, in this process."""
    if not way.startswith("plain"):
        from translate import machine

        machine.tune()
    import torch

    task = build(CASES[case])
    bf16 = way.endswith("bf16")
    x = torch.rand(1, 3, 256, 256) * 2 - 1
    if way.startswith("OpenVINO"):
        from translate.inference.engines import OpenVINO

        compiled = OpenVINO(task, bf16)

        def run():
            return compiled(x, "AtoB")
    elif way.startswith("plain"):
        from models.common import layers, translators

        layers.leaving, translators.packed = lambda: True, lambda features, last: features

        def run():
            return task(image=x)
    elif way.startswith("packed"):
        from translate.inference.engines import Packed

        packed = Packed(task, torch.bfloat16 if bf16 else torch.float32)

        def run():
            return packed(x.contiguous(memory_format=torch.channels_last), "AtoB")
    else:

        def run():
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                return task(image=x.contiguous(memory_format=torch.channels_last))

    times = []
    with torch.inference_mode():
        for _ in range(runs + 3):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
    return {"seconds": sorted(times[3:])[runs // 2]}


def photograph() -> dict:
    """4000 x 3000 through a ResNet-9 pipeline in bf16: seconds, tiles, peak memory."""
    from translate import machine

    machine.tune()
    import torch

    from translate.inference.images import Picture
    from translate.inference.pipeline import Pipeline
    from translate.probe import Choice, Way

    pipeline = Pipeline(build("cyclegan"), choice=Choice(Way("bf16", packed=True), reason="as told"))
    picture = Picture(tensor=torch.rand(1, 3, 3000, 4000) * 2 - 1)
    tiles = []
    start = time.perf_counter()
    pipeline.translate(picture, progress=lambda done, of: tiles.append((done, of)))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": seconds, "peak GiB": peak, "reports of progress": len(tiles)}


def child(*words: str) -> dict:
    command = [sys.executable, "-m", "benchmarks.inference", *words]
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads}
    )
    return json.loads(done.stdout.splitlines()[-1])


def main(settings: Settings) -> None:
    found: dict[str, dict] = {}
    print("| network | way | ms | times plain |\n|---|---|---|---|")
    for case in CASES:
        found[case] = {
            way: child("--case", case, way, str(settings.runs))["seconds"] for way in settings.ways
        }
        plain = found[case][settings.ways[0]]
        for way, seconds in found[case].items():
            print(f"| {case} | {way} | {1000 * seconds:.0f} | {plain / seconds:.2f} |", flush=True)
    if settings.large:
        found["12 megapixels"] = child("--photograph")
        print("\n12 megapixels, ResNet-9, bf16:", found["12 megapixels"])
    if settings.output:
        settings.output.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
    elif sys.argv[1:2] == ["--photograph"]:
        print(json.dumps(photograph()))
    else:
        import tyro

        from translate.cli import exit_code

        sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
