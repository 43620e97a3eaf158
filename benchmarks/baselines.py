"""The unconditional baselines, ranked: `python -m benchmarks.baselines --minutes 30 --sets mnist fashion`.

Every method of `models/latent` and `models/gan` that draws from noise alone is trained on every data set for
the same time of one thread, then judged: the Frechet distance of 10,000 samples to the 10,000 (CIFAR-10 here:
5,000) test pictures, through a classifier of that very data (`benchmarks.readers`). New methods come by being
there; `ROWS` only says how the known ones are set up. Stop it and run it again: rows that are done are kept,
and a run goes on from its last state; with more `--minutes` every row is trained anew. The results are
`docs/baselines.json`; `docs/baselines.md` shows them.
"""

import dataclasses
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
RESULTS, PAGE = HERE / "docs" / "baselines.json", HERE / "docs" / "baselines.md"
SETS = {  # folder or zip of --folder, pixels, features
    "mnist": ("mnist", 28, "lenet-mnist"),
    "fashion": ("fashion", 28, "lenet-fashion"),
    "cifar10": ("cifar10.zip", 32, "cifar10"),
}
BERNOULLI = {"likelihood": "bernoulli", "latent": 20}
ROWS: dict[str, tuple[str, dict]] = {  # where a method has several rows, or settings of its own here
    "AE": ("ae", {"latent": 20}),
    "AE, dense": ("ae", {"latent": 20, "network": "dense"}),
    "VAE": ("vae", BERNOULLI),
    "VAE, dense 784-400-20": ("vae", BERNOULLI | {"network": "dense", "batch_size": 128}),
    "β-VAE, β = 4": ("beta_vae", BERNOULLI | {"learning_rate": 1e-3}),
    "WAE-MMD": ("wae", {}),
    "WAE-GAN": ("wae", {"divergence": "gan"}),
    "RAE-L2": ("rae", {}),
    "GMMN": ("gmmn", {}),
    "GMMN+AE": ("gmmn", {"space": "codes"}),
    "GLO": ("glo", {"lr_schedule": "linear"}),
    "IMLE": ("imle", {"candidates": 4}),
    "GLANN": ("glann", {"lr_schedule": "linear", "glo_share": 0.6}),
    "DCGAN": ("dcgan", {"latent": 64}),
    "DCGAN, minimax": ("dcgan", {"latent": 64, "objective": "minimax"}),
}
COMMON = {"resize": "resize", "flip": False, "mixed_precision": "no", "preview_every": 0}
MARKS = "<!-- results of benchmarks.baselines -->", "<!-- end of results -->"
SHOWN = 10  # samples of each row in the picture


@dataclass(frozen=True, kw_only=True)
class Settings:
    folder: Path | None = HERE.parent / "shared" / "data"  # where mnist/, fashion/ and cifar10.zip lie
    sets: tuple[str, ...] = ("mnist",)  # mnist fashion cifar10
    rows: tuple[str, ...] = ()  # only those of this name, or whose name begins so; default all
    minutes: float = 30.0  # of one thread, to train each
    channels: int = 32  # width of the convolutions beside the picture, of every method
    samples: int = 10_000  # judged
    output: Path = HERE / "runs" / "baselines"  # the runs; a folder for each set and row


def rows() -> dict[str, tuple[str, dict]]:
    """`ROWS`, and one row with its own defaults for every other method that draws pictures from noise."""
    from translate.config import home
    from translate.task import find, names

    found, named = dict(ROWS), {task for task, _ in ROWS.values()}
    for name in names():
        if name not in named and home(name).parent.name in ("latent", "gan"):
            method = find(name)
            if tuple(method.takes) == ("noise",) and method.data == "images":
                found[(method.Config.__doc__ or name).split(" (")[0]] = (name, {})
    return {row: what for row, what in found.items() if what[0] in names()}


def wanted(row: str, asked: tuple[str, ...]) -> bool:
    """Whether a row is asked for: by name, or by the beginning of names where no row is called so."""
    known = rows()
    return not asked or any(row == name or (name not in known and row.startswith(name)) for name in asked)


def config_of(task: str, given: dict, name: str, settings: Settings, output: Path):
    """The Config of a row for the data set `name`; settings that the method does not have are left out."""
    from translate.task import find

    place, size, _ = SETS[name]
    Config = find(task).Config
    known = {field.name for field in dataclasses.fields(Config)}
    data = place if settings.folder is None else str(settings.folder / place)
    values = {**COMMON, "channels": settings.channels, "data": data, "size": size, "output": output, **given}
    return Config(**{key: value for key, value in values.items() if key in known})


def pictures(config, kind: str, split: str = "train"):
    import datasets

    return datasets.load(kind, config.data, size=config.size, split=split, resize="resize", flip=False)


def built(config, task: str, data):
    import torch

    from translate.task import DataInfo, find

    torch.manual_seed(config.seed)
    return find(task)(config, DataInfo.of(data.info))


def seconds_an_update(config, task: str, data, tried: int = 24) -> float:
    """CPU seconds of one update, its batch included; of methods with phases, the mean over those."""
    import torch

    from translate.training.stream import Stream
    from translate.training.update import Update

    class Alone:
        num_processes, device = 1, torch.device("cpu")

    model = built(config, task, data)
    update, spent = Update(model, config, Alone(), None), []
    batches = Stream(data, config.batch_size, 0, workers=1).starting_at(0)
    for number in range(tried + 4):
        t = number * config.steps // (tried + 4)  # through all phases
        model.train()
        begun = time.process_time()
        model.step(next(batches), t, update)
        spent.append(time.process_time() - begun)
    batches.close()
    return sum(sorted(spent[4:])[: tried - 2]) / (tried - 2)  # without the two that something disturbed


def runs_of(settings: Settings, name: str) -> Path:
    return settings.output / name / f"{settings.minutes:g}-minutes-{settings.channels}-channels"


def trained(row: str, task: str, given: dict, settings: Settings, name: str):
    """The trained method in memory, its config, and the CPU seconds of an update."""
    from translate.training.loop import train

    title = "".join(c if c.isalnum() else "-" for c in row.lower())
    folder = runs_of(settings, name) / title
    config = config_of(task, given, name, settings, folder)
    data = pictures(config, "images")
    plan = folder / "plan.json"
    if plan.exists():
        facts = json.loads(plan.read_text())
    else:
        seconds = seconds_an_update(config, task, data)
        facts = {"steps": max(20, round(60 * settings.minutes / seconds / 10) * 10), "seconds": seconds}
        folder.mkdir(parents=True, exist_ok=True)
        plan.write_text(json.dumps(facts))
    config = dataclasses.replace(config, steps=facts["steps"], save_every=facts["steps"])
    model = built(config, task, data)
    train(model, data, config)
    return model.eval(), config, facts


def everything(data):
    """All pictures [N, C, S, S] of a data set."""
    import torch

    generator = torch.Generator()
    return torch.stack([data.sample(i, generator)["image"] for i in range(len(data))])


class Judge:
    """A classifier of the data, and what it sees in the test pictures."""

    def __init__(self, real, name: str):
        from translate.metrics import features

        self.real, self.net = real, features.network(SETS[name][2])
        self.seen = features.described(real.split(250), self.net)

    def __call__(self, made) -> dict:
        """The Frechet distance of pictures [N, C, S, S] to the test pictures, and its protocol."""
        from translate.metrics import features, frechet

        score = frechet.frechet(features.described(made.split(250), self.net), self.seen, self.net.title)
        return {"frechet": significant(score.value), "protocol": score.protocol}


def judged(model, judge: Judge, settings: Settings) -> dict:
    """What can be told of a trained method; also its first samples."""
    import torch

    noise = torch.randn(settings.samples, *model.noise_shape, generator=seeded(0))
    with torch.inference_mode():
        made = torch.cat([model.generate(noise=z) for z in noise.split(250)])
        found = judge(made)
        found["parameters"] = sum(
            p.numel() for name in model.exported for p in getattr(model, name).parameters()
        )
        found |= of_codes(model, judge.real)
    return found | {"shown": made[:SHOWN]}


def of_codes(model, real) -> dict:
    """Test error of reconstructions, the codes' MMD to N(0, I), a VAE's bound."""
    import torch

    from models.common import mmd

    found = {}
    if hasattr(model, "encode"):
        codes = torch.cat([model.encode(x) for x in real.split(250)])
        rebuilt = torch.cat([model.generate(noise=z) for z in codes.split(250)])
        found["test_mse"] = float((rebuilt - real).square().mean())
        if hasattr(model, "posterior"):  # as sampled, not its mean
            mu, log_var = (
                torch.cat(part) for part in zip(*map(model.posterior, real.split(250)), strict=True)
            )
            codes = mu + (0.5 * log_var).exp() * torch.randn(mu.shape, generator=seeded(1))
        z = torch.randn(2000, codes.shape[1], generator=seeded(2))
        scales = [2 * codes.shape[1] * scale for scale in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
        kernel = mmd.inverse_multiquadratic(scales)
        found["codes_mmd"] = float(mmd.mmd2(codes[:2000], z, kernel))
    if hasattr(model, "terms"):
        torch.manual_seed(0)
        surprise, divergence = zip(*map(model.terms, real.split(250)), strict=True)
        found["kl"] = float(torch.cat(divergence).mean())
        found["bound"] = float(torch.cat(surprise).mean()) + found["kl"]
    return {key: significant(value) for key, value in found.items()}


def significant(value: float) -> float:
    return float(f"{value:.5g}")


def seeded(seed: int):
    import torch

    return torch.Generator().manual_seed(seed)


def floor(config, judge: Judge, settings: Settings) -> dict:
    """What the scores are of real training pictures, and of principal components."""
    import torch

    known = everything(pictures(config, "images"))
    flat, mean = known.flatten(1), known.flatten(1).mean(0)
    _, axes = torch.linalg.eigh((flat - mean).T @ (flat - mean))
    errors, away = {}, judge.real.flatten(1) - mean
    for d in (8, 16, 20, 64):  # principal components
        top = axes[:, -d:]
        errors[f"pca_{d}_test_mse"] = significant(float((away - away @ top @ top.T).square().mean()))
    return judge(known[: settings.samples]) | errors


def table(results: dict, name: str) -> list[str]:
    """Markdown rows of one data set, the best first."""
    known = results.get(name, {})
    lines = [
        f"### {name}",
        "",
        f"{known['real training pictures']['protocol']}. Minutes are those of one thread.",
        "",
        "| method | Frechet distance | minutes | updates | batch | ms each | parameters | test MSE | nats |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row, facts in sorted(known.items(), key=lambda item: item[1]["frechet"]):
        count = f"{facts['parameters']:,}" if "parameters" in facts else ""
        bound = f"{facts['bound']:.1f}" if facts.get("nats") else ""
        cells = [row, f"{facts['frechet']:.2f}", str(facts.get("minutes", ""))]
        cells += [f"{facts['steps']:,}" if "steps" in facts else ""]
        cells += [str(facts.get("batch_size", "")), str(facts.get("ms", "")), count]
        cells += [f"{facts['test_mse']:.4f}" if "test_mse" in facts else "", bound]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, "", f"![Samples of each method](baselines-{name}.png)", ""]


def write_page(results: dict) -> None:
    """Put the tables between the marks of the page."""
    text = PAGE.read_text() if PAGE.exists() else f"# Baselines\n\n{MARKS[0]}\n{MARKS[1]}\n"
    before, rest = text.split(MARKS[0])
    _, after = rest.split(MARKS[1], 1)  # other results come after these
    lines = [line for name in SETS if name in results for line in table(results, name)]
    PAGE.write_text("\n".join([before + MARKS[0], "", *lines]) + MARKS[1] + after)


def strip(shown):
    """Pictures [N, C, S, S] side by side, twice as large."""
    from PIL import Image

    from translate.figures import to_rgb

    grey_levels = ((to_rgb(shown).clamp(-1, 1) + 1) * 127.5).round().byte()  # [N, 3, S, S]
    line = Image.fromarray(grey_levels.permute(2, 0, 3, 1).flatten(1, 2).numpy())
    return line.resize((2 * line.width, 2 * line.height), Image.Resampling.NEAREST)


def sheet(settings: Settings, name: str) -> None:
    """One picture of the samples of all rows that were run here, by name."""
    from PIL import Image, ImageDraw, ImageFont

    paths = sorted(runs_of(settings, name).glob("*/samples.png"))
    strips = {path.parent.name: Image.open(path) for path in paths}
    if not strips:
        return
    height = max(line.height for line in strips.values()) + 4
    canvas = Image.new(
        "RGB", (190 + max(line.width for line in strips.values()), height * len(strips)), "white"
    )
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(15)
    for y, (title, line) in enumerate(strips.items()):
        pen.text((6, y * height + height // 2 - 10), title, fill="black", font=font)
        canvas.paste(line, (190, y * height))
    canvas.save(PAGE.parent / f"baselines-{name}.png")


def main(settings: Settings) -> None:
    import torch

    from translate import machine

    machine.tune()
    torch.set_num_threads(1)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in settings.sets:
        known = results.setdefault(name, {})
        some = config_of("ae", {}, name, settings, settings.output)
        judge = Judge(everything(pictures(some, "images", "test")), name)
        if "real training pictures" not in known:
            known["real training pictures"] = floor(some, judge, settings)
        for row, (task, given) in rows().items():
            done = known.get(row, {}).get("minutes", 0) >= settings.minutes
            if done or not wanted(row, settings.rows):
                continue
            model, config, facts = trained(row, task, given, settings, name)
            found = judged(model, judge, settings)
            strip(found.pop("shown")).save(config.output / "samples.png")
            found["nats"] = getattr(config, "likelihood", "") == "bernoulli"
            known[row] = {
                "task": task, "settings": given, "steps": config.steps, "batch_size": config.batch_size,
                "ms": round(1000 * facts["seconds"], 1), "minutes": settings.minutes,
                "channels": settings.channels, **found,
            }  # fmt: skip
            RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
            write_page(results)
            sheet(settings, name)
            print(f"{name}, {row}: Frechet distance {found['frechet']:.2f}", flush=True)


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
