"""Which games find all modes of a toy: `python -m benchmarks.toys`. Stop it and run it again: it goes on.

Each is trained on the same ring of 8 (or grid of 25) Gaussians with the networks of the notebook to unrolled
GANs (Metz et al. 2017: 2 x 128 tanh, z of 256, batches of 512, Adam of 1e-3 in G and 1e-4 in D) for the same
number of updates of G. Of 5,000 samples: how many modes have at least a quarter of their share nearest to
them and within ten deviations, and how many samples are within three. `docs/toys.png` shows the samples.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
METZ = dict(
    optimizer="adam", learning_rate=1e-3, rate_d=1e-4, beta1=0.5, hidden=128, units=128, pieces=1,
    activation="tanh", dropout=False, latent=256, batch_size=512, objective="minimax",
)  # fmt: skip
GRADIENT = dict(
    objective="wasserstein", penalty=("gradient",), lambda_penalty=0.1, rate_d=None, beta1=0.0, beta2=0.9,
    n_critic=5, activation="relu",
)  # fmt: skip
ROWS = {
    "GAN, minimax": METZ,
    "GAN, non-saturating": METZ | dict(objective="non-saturating"),
    "unrolled, 5": METZ | dict(unroll=5),
    "minibatch discrimination": METZ | dict(objective="non-saturating", minibatch="discrimination"),
    "WGAN-GP": METZ | GRADIENT,
}
COMMON = dict(mixed_precision="no", preview_every=0, save_minutes=5.0, workers=1)


@dataclass(frozen=True, kw_only=True)
class Settings:
    toys: tuple[str, ...] = ("ring",)  # ring, grid
    rows: tuple[str, ...] = ()  # only those whose name begins so; default all
    steps: int = 25_000  # updates of G, as Metz et al.
    batch_size: int = 512
    seed: int = 0
    output: Path = HERE / "runs" / "toys"  # the runs
    page: Path = HERE / "docs" / "toys.md"  # the table is written here, and the figure beside it


def trained(row: str, toy: str, settings: Settings):
    """The trained GAN, from its run folder where it is done."""
    import torch

    import datasets
    from models.gan import gan
    from translate.task import DataInfo
    from translate.training.loop import train

    folder = settings.output / toy / "".join(c if c.isalnum() else "-" for c in row.lower())
    given = ROWS[row]
    steps = settings.steps * given.get("n_critic", 1)
    config = gan.Config(data=toy, output=folder, steps=steps, seed=settings.seed, **given, **COMMON)
    config = dataclasses.replace(config, batch_size=settings.batch_size)
    config = dataclasses.replace(config, save_every=max(1, steps // 2))
    data = datasets.load("points", toy, size=8)
    torch.manual_seed(config.seed)
    task = gan.GAN(config, DataInfo.of(data.info))
    train(task, data, config)
    return task.eval()


def judged(task, toy: str) -> dict:
    """Modes found, share of samples within three deviations, and 1,000 samples."""
    import torch

    from datasets import points

    centres = torch.tensor(points.CIRCLE if toy == "ring" else points.GRID)
    deviation = 0.02 if toy == "ring" else 0.05
    torch.manual_seed(0)
    with torch.no_grad():
        samples = task.generate(torch.randn(5000, *task.noise_shape))
    distance, nearest = torch.cdist(samples, centres).min(1)
    share = torch.bincount(nearest[distance < 10 * deviation], minlength=len(centres)) / len(samples)
    found = int((share > 0.25 / len(centres)).sum())
    close = float((distance < 3 * deviation).float().mean())
    return dict(modes=found, of=len(centres), close=close, samples=samples[:1000])


def main(settings: Settings) -> None:
    from PIL import Image

    from datasets import points
    from translate.figures import grid

    lines, pictures = ["| | game | modes found | samples within 3 σ |", "|---|---|---|---|"], []
    for toy in settings.toys:
        for row in ROWS:
            if settings.rows and not row.startswith(settings.rows):
                continue
            result = judged(trained(row, toy, settings), toy)
            real, _ = points.draw(toy, 1000, seed=0)
            pictures.append(grid({"real": real, f"{row}: {result['modes']} modes": result.pop("samples")}))
            print(json.dumps({"toy": toy, "game": row, **result}), flush=True)
            lines.append(f"| {toy} | {row} | {result['modes']} of {result['of']} | {result['close']:.0%} |")
    across = sum(picture.width for picture in pictures)
    figure = Image.new("RGB", (across, max(picture.height for picture in pictures)), "white")
    for place, picture in enumerate(pictures):
        figure.paste(picture, (sum(before.width for before in pictures[:place]), 0))
    figure.save(settings.page.with_suffix(".png"))
    command = f"python -m benchmarks.toys --steps {settings.steps} --batch-size {settings.batch_size}"
    text = (__doc__ or "").partition("\n\n")[2].replace("`docs/toys.png`", "The picture")
    table = "\n".join(lines)
    settings.page.write_text(f"# Modes of toys\n\n    {command}\n\n{text}\n{table}\n\n![Samples](toys.png)\n")


if __name__ == "__main__":
    import tyro

    main(tyro.cli(Settings, description=(__doc__ or "").split("\n")[0]))
