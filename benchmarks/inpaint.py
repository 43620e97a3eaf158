"""Scores of what fills holes: `python -m benchmarks.inpaint --data bsds500.zip/test/photo`.

Test photographs with drawn holes, filled three ways: smoothly from around the hole, by the network alone, and
as in use, with the network's filling made again of known patches. PSNR is of the hole; sharpness is the mean
step between neighbouring pixels in the hole over that of the truth (1: as sharp); the Frechet distance is
between filled and real pictures, by a network that nothing here learned from; with so few it is rough.
"""

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    data: str  # photographs that were never trained on
    model: str = "photo-inpaint"  # name or folder
    size: int = 256  # pixels, the square in the middle of each
    masks: str = "both"  # drawn free-form, as rectangles, or both
    count: int = 60  # photographs
    features: str = "efficientnet-lite2"  # who judges
    sheet: Path | None = None  # write the first rows there


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    import torch
    from tqdm import tqdm

    import datasets
    from models.translation.inpaint import continued
    from translate import figures
    from translate.inference import filling, tiling
    from translate.inference.pipeline import Pipeline
    from translate.metrics import frechet
    from translate.training.observers import preview_batch

    options = dict(size=settings.size, split="test", resize="scale-crop", flip=False, masks=settings.masks)
    batch = preview_batch(datasets.load("masked", settings.data, **options), settings.count)
    real, masks = batch["image"], batch["mask"]
    task = Pipeline.from_pretrained(settings.model, "cpu", "fp32").task
    rows = {"smooth": [], "network": [], "as in use": []}
    with torch.inference_mode():
        for number in tqdm(range(len(real)), unit="photograph", disable=None):
            x, m = real[number : number + 1], masks[number : number + 1]
            z = torch.randn(1, *task.noise_shape, generator=torch.Generator().manual_seed(number))

            def network(x, m, z=z):
                both, window = tiling.pad(torch.cat([x, m], 1), task.stride)
                return task(image=both[:, :-1], mask=both[:, -1:], noise=z)[(..., *window)]

            smooth = torch.nn.functional.interpolate(
                continued(x, 1 - m, 5), scale_factor=2.0, mode="bilinear"
            )
            rows["smooth"].append(torch.where(m > 0, smooth, x))
            rows["network"].append(network(x, m))
            generator = torch.Generator().manual_seed(number)
            rows["as in use"].append(filling.fill(x, m, network, task.config.size, generator))
    made = {name: torch.cat(pictures) for name, pictures in rows.items()}
    net, title = frechet.network(settings.features)
    truth = frechet.described(real.split(16), net)
    print(f"\n{len(real)} photographs, {settings.size} px, {100 * masks.mean():.0f} % in holes; {title}\n")
    print("| | PSNR of the hole, dB | sharpness | Frechet distance |\n|---|---|---|---|")
    for name, pictures in made.items():
        error = ((pictures - real).square() * masks).flatten(1).sum(1) / (3 * masks).flatten(1).sum(1)
        psnr = (10 * (4 / error).log10()).mean()
        steps = [sum((p.diff(dim=d).abs() * masks.narrow(d, 1, settings.size - 1)).sum() for d in (-2, -1))
                 for p in (pictures, real)]  # fmt: skip
        distance = frechet.frechet(frechet.described(pictures.split(16), net), truth).value
        print(f"| {name} | {psnr:.2f} | {steps[0] / steps[1]:.2f} | {distance:.1f} |", flush=True)
    if settings.sheet:
        shown = {"input": torch.where(masks > 0, 1.0, real)} | made | {"truth": real}
        figures.grid({name: pictures[:8] for name, pictures in shown.items()}).save(settings.sheet)


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
