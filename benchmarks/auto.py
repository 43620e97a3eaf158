"""What `auto` chooses beside the best fixed choice: `python -m benchmarks.auto --output auto.json`.

Every case of `benchmarks.training` (a step) and every shipped model that has a choice (a picture of the size
it was trained at). Each runs in a process of its own, all ways in turn, the least time of each. What
`--output` already holds is not measured again, so that the table can be made in pieces (`--seconds`). Where a
small convolution takes three times as long in bfloat16 as in float32, it is only emulated, and left out.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ENOUGH = 90  # seconds of a case, after which no further turn begins


@dataclass(frozen=True, kw_only=True)
class Settings:
    cases: str = ""  # only those whose name contains this, e.g. photo or pix2pix
    turns: int = 5  # measured steps or pictures of each way
    seconds: float = 240  # begin no further case after so long
    cpu: bool = False  # seconds of CPU in place of the clock's, for one thread of a machine that others use
    openvino: bool = True  # count it among the fixed choices, where it is installed
    output: Path = Path("auto.json")  # the numbers so far


def cases() -> list[str]:
    from benchmarks.training import CASES

    shipped = Path(__file__).resolve().parent.parent / "pretrained"
    return [*CASES, *sorted(path.parent.name for path in shipped.glob("*/config.json"))]


def in_turn(runs: dict, turns: int, clock: Callable[[], float]) -> dict[str, float]:
    """Least seconds of each: others use the machine, too. The first turn warms up; what then takes twice the
    least is left at that.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    begun = time.monotonic()
    for turn in range(turns + 1):
        if turn > 1 and time.monotonic() - begun > ENOUGH:
            break
        least = min(seconds[0] for seconds in times.values()) if turn else 0
        for name, run in runs.items():
            if turn > 1 and min(times[name]) > 2 * least:
                continue
            start = clock()
            run()
            taken = clock() - start
            times[name] = [taken] if turn <= 1 else [*times[name], taken]
    return {name: min(values) for name, values in times.items()}


def training(name: str, turns: int, clock: Callable[[], float]) -> dict:
    from dataclasses import replace

    import torch
    from accelerate import Accelerator

    from benchmarks.training import CASES, work
    from translate import probe
    from translate.task import DataInfo, find
    from translate.training.stream import to_device
    from translate.training.update import Update
    from translate.training.way import WAYS, way_of

    task_name, options, _ = CASES[name]
    task_class = find(task_name)
    config = replace(task_class.Config(), mixed_precision="auto", **options)
    torch.manual_seed(0)
    info, batch = work(task_class.data, config)
    accelerator = Accelerator()
    device = accelerator.device
    task = task_class(config, DataInfo.of(info)).to(device).train()
    update = Update(task, config, accelerator, None)
    task.step(to_device(batch, device), 0, update)  # what any process does once
    start = time.perf_counter()
    choice = way_of(task, config, lambda: batch, device)
    probed = time.perf_counter() - start
    t = iter(range(10**9))

    def runner(way):
        mine = to_device(batch, device, way.memory_format)

        def run() -> None:
            with torch.autocast(device.type, way.autocast, enabled=way.autocast is not None):
                task.step(mine, next(t), update)

        return run

    ways = probe.promising(WAYS, device, train=True)
    seconds = in_turn({str(way): runner(way) for way in ways}, turns, clock)
    return {"auto": str(choice.way), "probe": probed, "seconds": seconds}


def serving(name: str, turns: int, clock: Callable[[], float], openvino: bool) -> dict:
    from importlib.util import find_spec

    import torch

    from translate import probe
    from translate.inference.catalog import locate
    from translate.inference.engines import way_of, ways_of
    from translate.inference.images import Picture
    from translate.inference.pipeline import Pipeline, digits_of
    from translate.probe import Choice

    digits = digits_of(locate(name), "auto")
    pipeline = Pipeline.from_pretrained(locate(name))
    if "image" not in pipeline.takes:
        return {}
    task = pipeline.task
    probe.file().unlink()
    start = time.perf_counter()
    way_of(task, digits)
    probed = time.perf_counter() - start
    size = -(-max(task.config.size // task.enlarges, task.stride) // task.stride) * task.stride
    channels = task.info.channels[task.sides()[0]]
    picture = Picture(tensor=torch.rand(1, channels, size, size) * 2 - 1)
    ways = probe.promising(ways_of(task, digits), pipeline.device, train=False)
    each = {str(way): Pipeline(task, choice=Choice(way)) for way in ways}
    if openvino and find_spec("openvino") and task.takes == ("image",) and pipeline.device.type == "cpu":
        each["OpenVINO, float32"] = Pipeline(task, engine="openvino")
    hole = Picture(tensor=torch.full((1, 1, size, size), -1.0))
    hole.tensor[..., size // 3 : 2 * size // 3, size // 3 : 2 * size // 3] = 1
    more = {"mask": hole} if "mask" in pipeline.takes else {}
    runs = {way: lambda p=p: p.translate(picture, work_size=0, **more) for way, p in each.items()}
    return {"auto": str(pipeline.choice.way), "probe": probed, "seconds": in_turn(runs, turns, clock)}


def row(name: str, found: dict) -> str:
    seconds, auto = found["seconds"], found["auto"]
    best = min(seconds, key=seconds.get)
    others = ", ".join(f"{way} {1e3 * s:.3g}" for way, s in seconds.items())
    loss = seconds[auto] / seconds[best] - 1
    return f"| {name} | {auto} | {loss:.0%} | {best} | {others} | {found['probe']:.2f} |"


def main(settings: Settings) -> None:
    done = json.loads(settings.output.read_text()) if settings.output.exists() else {}
    begun = time.monotonic()
    for name in cases():
        if settings.cases.lower() not in name.lower() or name in done:
            continue
        if time.monotonic() - begun > settings.seconds:
            print(f"not yet measured: {name} and what follows; the same command goes on", file=sys.stderr)
            break
        words = [sys.executable, "-m", "benchmarks.auto", "--case", name, str(settings.turns)]
        words += [str(int(settings.cpu)), str(int(settings.openvino))]
        printed = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
        done[name] = json.loads(printed.splitlines()[-1])
        settings.output.write_text(json.dumps(done, indent=1))
    print("| case | auto | slower than the best | the best | ms of each way | s of the probe |")
    print("|---|---|---|---|---|---|")
    for name, found in done.items():
        if found:
            print(row(name, found))


def measure(name: str, turns: int, cpu: bool, openvino: bool) -> dict:
    import os
    import tempfile

    from benchmarks.training import CASES
    from translate import machine

    machine.tune()
    clock = time.process_time if cpu else time.perf_counter
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TRANSLATE_CACHE"] = folder  # nothing is known from before
        return training(name, turns, clock) if name in CASES else serving(name, turns, clock, openvino)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]), sys.argv[4] == "1", sys.argv[5] == "1")))
    else:
        import tyro

        main(tyro.cli(Settings, description=__doc__))
