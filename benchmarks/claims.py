"""What papers and lectures say of the latent models, tried: `python -m benchmarks.claims`. It resumes.

Each claim trains a few small models, all settings in `CLAIMS`, and says whether the numbers bear it out. One
seed; runs that are done are kept, and a run that was stopped goes on. `docs/claims.json` has the numbers,
`docs/baselines.md` the table.
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
RESULTS, PAGE = HERE / "docs" / "claims.json", HERE / "docs" / "baselines.md"
COMMON = dict(resize="resize", flip=False, mixed_precision="no", preview_every=0, workers=1, save_minutes=1.0)
DENSE = dict(data="mnist", size=28, latent=20, network="dense", likelihood="bernoulli", batch_size=128)
EPOCHS = 4690  # ten, of 128
SHORT = DENSE | dict(steps=1500)
SMALL = dict(data="digits", size=8, latent=8, channels=16, steps=2000, batch_size=128, lr_schedule="linear")
GAME = dict(data="mnist", size=28, channels=16, latent=64, batch_size=64)
BARE = GAME | dict(norm_g="none", norm_d="none")
DRAWN = 10_000  # samples of a game that are judged
BETAS = (0.5, 1.0, 2.0, 4.0)
Numbers = dict[str, dict[str, float]]  # of each run


@dataclass(frozen=True)
class Claim:
    """runs: label to method and settings; looked: at which of the numbers; borne_out: whether they agree."""

    says: str
    runs: dict[str, tuple[str, dict]]
    looked: tuple[str, ...]
    borne_out: Callable[[Numbers], bool]


def falling(values: list[float]) -> bool:
    return all(b < a for a, b in zip(values, values[1:], strict=False))


CLAIMS = {
    "vae": Claim(
        "A VAE 784-400-20 has a test bound of at most 106 nats after ten epochs",
        {"dense VAE": ("vae", DENSE | dict(steps=EPOCHS))},
        ("bound", "kl"),
        lambda n: n["dense VAE"]["bound"] <= 106,
    ),
    "convolutions": Claim(
        "A convolutional VAE has a lower bound than the dense one, at as many updates",
        {
            "dense VAE": ("vae", DENSE | dict(steps=EPOCHS)),
            "convolutional VAE": ("vae", DENSE | dict(network="conv", channels=16, steps=EPOCHS)),
        },
        ("bound", "kl"),
        lambda n: n["convolutional VAE"]["bound"] < n["dense VAE"]["bound"],
    ),
    "beta": Claim(
        "KL falls with β, and pictures are rebuilt less well",
        {f"β = {b:g}": ("beta_vae", SHORT | dict(beta=b, learning_rate=1e-3)) for b in BETAS},
        ("kl", "test_mse"),
        lambda n: falling([n[f"β = {b:g}"]["kl"] for b in BETAS])
        and falling([n[f"β = {b:g}"]["test_mse"] for b in reversed(BETAS)]),
    ),
    "wae": Claim(
        "Codes of a WAE lie nearer to N(0, I) than an autoencoder's (MMD)",
        {"AE": ("ae", SHORT), "WAE-MMD": ("wae", SHORT)},
        ("codes_mmd", "test_mse"),
        lambda n: n["WAE-MMD"]["codes_mmd"] < n["AE"]["codes_mmd"],
    ),
    "components": Claim(
        "An autoencoder rebuilds test pictures better than as many principal components",
        {"AE": ("ae", SHORT)},
        ("test_mse", "components"),
        lambda n: n["AE"]["test_mse"] < n["AE"]["components"],
    ),
    "glo": Claim(
        "GLO rebuilds training pictures better than an autoencoder with the same decoder and loss",
        {"AE": ("ae", SMALL), "GLO": ("glo", SMALL | dict(distance="squares"))},
        ("train_mse", "pixels"),
        lambda n: n["GLO"]["train_mse"] < n["AE"]["train_mse"],
    ),
    "glann": Claim(
        "GLANN's samples are nearer to pictures than GLO's from noise, and than IMLE's",
        {
            "GLO": ("glo", SMALL),
            "IMLE": ("imle", SMALL | dict(candidates=4)),
            "GLANN": ("glann", SMALL | dict(glo_share=0.6)),
        },
        ("pixels",),
        lambda n: n["GLANN"]["pixels"] < min(n["GLO"]["pixels"], n["IMLE"]["pixels"]),
    ),
    "norms": Claim(
        "WGAN learns without batch norm, where the standard GAN fails (2,000 updates of G)",
        {
            "minimax GAN": ("dcgan", GAME | dict(objective="minimax", steps=2000)),
            "minimax GAN without": ("dcgan", BARE | dict(objective="minimax", steps=2000)),
            "WGAN": ("wgan", GAME | dict(steps=10_000)),
            "WGAN without": ("wgan", BARE | dict(steps=10_000)),
        },
        ("frechet",),
        lambda n: n["WGAN without"]["frechet"] < 2 * n["WGAN"]["frechet"]
        and n["minimax GAN without"]["frechet"] > 2 * n["minimax GAN"]["frechet"],
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    folder: Path = HERE.parent / "shared" / "data"  # where mnist/ lies
    claims: tuple[str, ...] = ()  # default all
    steps: int | None = None  # of each run, to try the command
    output: Path = HERE / "runs" / "claims"


def config_of(method: str, given: dict, settings: Settings):
    """Its Config, with the settings that it has; and a folder named by them."""
    from translate.task import find

    Config = find(method).Config
    known = {field.name for field in dataclasses.fields(Config)}
    chosen = {k: v for k, v in given.items() if k in known}
    if settings.steps:
        chosen["steps"] = settings.steps
    title = "-".join([method, *(f"{k}={v}" for k, v in sorted(chosen.items()))])
    place = given["data"] if given["data"] == "digits" else str(settings.folder / given["data"])
    values = {k: v for k, v in COMMON.items() if k in known} | chosen
    return Config(**values | {"data": place, "output": settings.output / title})


def learned(method: str, given: dict, settings: Settings):
    """The trained method and its test pictures."""
    from benchmarks import baselines
    from translate.training.loop import train

    config = config_of(method, given, settings)
    data = baselines.pictures(config, "images")
    task = baselines.built(config, method, data)
    train(task, data, config)
    return task.eval(), data, baselines.everything(baselines.pictures(config, "images", "test"))


def numbers(task, data, real) -> dict[str, float]:
    """Bound and KL of a VAE, errors of what is rebuilt, codes' MMD to N(0, I), Frechet distance of pixels."""
    import torch

    from benchmarks import baselines
    from translate.metrics import frechet

    with torch.inference_mode():
        found = baselines.of_codes(task, real)
        if task.takes == ("noise",) and hasattr(task, "objective") and not hasattr(task, "encode"):
            noise = torch.randn(DRAWN, *task.noise_shape, generator=baselines.seeded(0))
            made = torch.cat([task.generate(noise=z) for z in noise.split(250)])
            found["frechet"] = baselines.Judge(real, "mnist")(made)["frechet"]
        if "bound" in found or "codes_mmd" in found:
            flat = baselines.everything(data).flatten(1)
            mean, away = flat.mean(0), real.flatten(1) - flat.mean(0)
            axes = torch.linalg.eigh((flat - mean).T @ (flat - mean))[1][:, -task.config.latent :]
            found["components"] = float((away - away @ axes @ axes.T).square().mean())
        if task.config.data == "digits":
            known = baselines.everything(data)
            noise = torch.randn(len(known), *task.noise_shape, generator=baselines.seeded(0))
            made = task.generate(noise=noise)
            found["pixels"] = frechet.frechet(made.flatten(1), known.flatten(1)).value
            if hasattr(task, "Z"):
                rebuilt = task.G(task.projected(task.Z.weight))
            elif hasattr(task, "encode"):
                rebuilt = task.generate(noise=task.encode(known))
            else:
                return {k: baselines.significant(v) for k, v in found.items()}
            found["train_mse"] = float((rebuilt - known).square().mean())
    return {k: baselines.significant(v) for k, v in found.items()}


NAMES = {
    "bound": "-ELBO, nats", "kl": "KL, nats", "test_mse": "test error", "train_mse": "training error",
    "codes_mmd": "MMD of codes", "components": "error of components", "pixels": "Frechet distance of pixels",
    "frechet": "fid[lenet-mnist]",
}  # fmt: skip


def table(results: dict) -> str:
    """Markdown: each claim, what was seen, and whether it bears it out."""
    lines = ["| claim | seen | borne out |", "|---|---|---|"]
    for name, claim in CLAIMS.items():
        if name in results:
            seen = [
                f"{label}: " + ", ".join(f"{NAMES[k]} {found[k]:.4g}" for k in claim.looked if k in found)
                for label, found in results[name]["numbers"].items()
            ]
            lines.append(
                f"| {claim.says} | {'; '.join(seen)} | {'yes' if results[name]['holds'] else '**no**'} |"
            )
    data = "MNIST's 10,000 test pictures (784-400-20, 1,500 updates of 128 where nothing else is said)"
    return "\n".join(
        [*lines, "", f"Of {data}; GLO, IMLE and GLANN of scikit-learn's digits, 8 px, 2,000 updates of 128, "
         "step sizes falling to nothing over the second half. "
         "Errors are mean squares, pixels in [-1, 1]."]
    )  # fmt: skip


def main(settings: Settings) -> None:
    import torch

    from benchmarks import put
    from translate import machine

    machine.tune()
    torch.set_num_threads(1)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known: dict[str, dict[str, float]] = {}  # by what was trained
    for name, claim in CLAIMS.items():
        if settings.claims and name not in settings.claims:
            continue
        tried = {"runs": json.loads(json.dumps(claim.runs)), "steps": settings.steps}
        if name in results and tried.items() <= results[name].items():
            continue
        found = {}
        for label, run in claim.runs.items():
            key = json.dumps(run, sort_keys=True)
            known[key] = known.get(key) or numbers(*learned(*run, settings))
            found[label] = known[key]
            print(f"{name}, {label}: {found[label]}", flush=True)
        results[name] = tried | {"numbers": found, "holds": claim.borne_out(found)}
        print(f"{claim.says}: {'yes' if results[name]['holds'] else 'NO'}", flush=True)
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        put(PAGE, "claims", table(results))


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
