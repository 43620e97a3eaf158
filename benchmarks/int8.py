"""Eight-bit whole numbers beside float32, by OpenVINO and NNCF: `python -m benchmarks.int8`.

Calibrated on every second of the pictures that come with the shipped models, judged by decibels against
float32 on others, CPU milliseconds of one thread, the least of five. Worth it from 40 dB on, as bfloat16 is.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Settings:
    models: tuple[str, ...] = ("photo-x4-fast", "labels-to-facade")
    side: int = 128  # of the pictures
    calibration: int = 8  # pictures
    held_out: int = 4


def pictures(side: int, channels: int) -> list:
    """The corners of the examples that are large enough, [1, channels, side, side] each."""
    from translate.inference import images

    found = []
    for path in sorted((HERE / "pretrained").glob("*/examples/*")):
        tensor = images.decode(path.read_bytes()).tensor
        if tensor.shape[1] == channels and min(tensor.shape[-2:]) >= side:
            found.append(tensor[..., :side, :side].contiguous())
    return found


def least(run) -> float:
    """CPU milliseconds, the least of five after one that warms up."""
    times = []
    for _ in range(6):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return 1e3 * min(times[1:])


def row(name: str, settings: Settings) -> str:
    import logging

    import nncf
    import openvino
    import torch

    from translate.inference.catalog import locate
    from translate.inference.engines import Packed, Translation
    from translate.training.checkpoint import read_model

    nncf.set_log_level(logging.ERROR)
    torch.set_num_threads(1)
    task = read_model(locate(name)).requires_grad_(False)
    chosen = pictures(settings.side, task.info.channels[task.sides()[0]])
    known, others = chosen[::2][: settings.calibration], chosen[1::2][: settings.held_out]
    x = others[0]
    with torch.no_grad():
        model = openvino.convert_model(Translation(task, "AtoB"), example_input=x, input=list(x.shape))
        ours = Packed(task, torch.float32)
        packed = least(lambda: ours(x, "AtoB"))
    data = nncf.Dataset([picture.numpy() for picture in known])
    small = nncf.quantize(model, data, subset_size=len(known))
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    exact, rough = (openvino.Core().compile_model(m, "CPU", hints) for m in (model, small))

    def made(compiled, picture):
        return torch.from_numpy(compiled(picture.numpy())[0].copy()).clamp(-1, 1)

    errors = [(made(exact, p) - made(rough, p)).square().mean() for p in others]
    decibels = [10 * float(torch.log10(4 / error)) for error in errors]
    times = [packed, least(lambda: exact(x.numpy())), least(lambda: rough(x.numpy()))]
    cells = [f"{ms:.1f}" for ms in times] + [f"{times[1] / times[2]:.2f}", f"{min(decibels):.1f}"]
    return f"| {name}, {settings.side} px | {' | '.join(cells)} |"


def main(settings: Settings) -> None:
    from translate import machine

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    machine.tune()
    print("| model | packed, ms | OpenVINO float32 | int8 | times as fast | dB on the worst held out |")
    print("|---|---|---|---|---|---|")
    for name in settings.models:
        print(row(name, settings), flush=True)


if __name__ == "__main__":
    import tyro

    main(tyro.cli(Settings, description=__doc__))
