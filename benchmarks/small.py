"""Small models on MNIST beside the loops people know: `python -m benchmarks.small --data MNIST`.

The reference is written from the published programs' description, with the same networks, batch and optimizer
settings as ours: torchvision's way to the data (a Pillow picture of each digit, ToTensor, Normalize, a
DataLoader without workers), Adam as torch has it, losses by BCELoss, one forward pass after the other. Ours
is `Stream` and `Task.step`. Both in turns, in float32, in one process; medians of `rounds`. CPU seconds of a
step, because wall-clock depends on who else uses the machine.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
CASES = ("gan", "wgan_gp", "vae", "dcgan")


@dataclass(frozen=True, kw_only=True)
class Settings:
    data: Path = HERE.parent / "shared" / "data" / "mnist"  # MNIST's four files
    cases: tuple[str, ...] = ("gan", "wgan_gp", "vae")  # and dcgan, which is convolution and little else
    steps: int = 60  # of a round
    rounds: int = 5


def loader(arrays, batch_size: int, normalised: bool) -> Iterator:
    """What torchvision's MNIST under a DataLoader does; `arrays` has pixels [N, 1, 28, 28] and labels."""
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader
    from torchvision import transforms

    steps = [transforms.ToTensor()] + [transforms.Normalize([0.5], [0.5])] * normalised
    transform, (pixels, labels) = transforms.Compose(steps), arrays

    class MNIST(torch.utils.data.Dataset):
        def __len__(self):
            return len(labels)

        def __getitem__(self, number):
            return transform(Image.fromarray(pixels[number, 0], mode="L")), int(labels[number])

    while True:
        yield from DataLoader(MNIST(), batch_size, shuffle=True, drop_last=True)


def published(name: str):
    """G and D of PyTorch-GAN's gan.py and wgan_gp.py: 100-128-256-512-1024-784, batch norm; 784-512-256-1."""
    from torch import nn

    def block(inputs: int, outputs: int, norm: bool = True) -> list:
        return [nn.Linear(inputs, outputs), *[nn.BatchNorm1d(outputs, 0.8)] * norm, nn.LeakyReLU(0.2, True)]

    G = nn.Sequential(
        *block(100, 128, False), *block(128, 256), *block(256, 512), *block(512, 1024),
        nn.Linear(1024, 784), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)),
    )  # fmt: skip
    D = nn.Sequential(nn.Flatten(), *block(784, 512, False), *block(512, 256, False), nn.Linear(256, 1))
    return G, D


def game_loop(G, D, batches: Iterator, latent: int) -> Callable[[int], None]:
    """One step of the usual GAN loop: G by D(G(z)), then D by D(x) and D(G(z).detach()); BCE on sigmoids."""
    import torch

    loss = torch.nn.BCELoss()
    adams = [torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999)) for network in (G, D)]

    def step(t: int) -> None:
        x, _ = next(batches)
        real, fake = torch.ones(len(x), 1), torch.zeros(len(x), 1)
        adams[0].zero_grad()
        made = G(torch.randn(len(x), latent))
        loss_G = loss(D(made).view(-1, 1).sigmoid(), real)
        loss_G.backward()
        adams[0].step()
        adams[1].zero_grad()
        judged = [D(pictures).view(-1, 1).sigmoid() for pictures in (x, made.detach())]
        loss_D = (loss(judged[0], real) + loss(judged[1], fake)) / 2
        loss_D.backward()
        adams[1].step()
        loss_D.item(), loss_G.item()  # printed each batch

    return step


def penalised_loop(G, D, batches: Iterator) -> Callable[[int], None]:
    """One step of the usual WGAN-GP loop: the critic, and each fifth time G."""
    import torch

    adams = [torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999)) for network in (G, D)]

    def step(t: int) -> None:
        x, _ = next(batches)
        adams[1].zero_grad()
        z = torch.randn(len(x), 100)
        made = G(z)
        epsilon = torch.rand(len(x), 1, 1, 1)
        between = (epsilon * x + (1 - epsilon) * made).requires_grad_(True)
        judged = D(between)
        (gradient,) = torch.autograd.grad(judged, between, torch.ones_like(judged), create_graph=True)
        penalty = ((gradient.view(len(x), -1).norm(2, dim=1) - 1) ** 2).mean()
        loss_D = -D(x).mean() + D(made).mean() + 10 * penalty
        loss_D.backward()
        adams[1].step()
        adams[0].zero_grad()
        if t % 5 == 0:
            (-D(G(z)).mean()).backward()
            adams[0].step()
        loss_D.item()

    return step


def vae_loop(batches: Iterator) -> Callable[[int], None]:
    """One step of pytorch/examples' VAE, 784-400-20."""
    import torch
    from torch import nn

    layers = nn.ModuleList(
        [nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20), nn.Linear(20, 400), nn.Linear(400, 784)]
    )
    adam = torch.optim.Adam(layers.parameters(), lr=1e-3)

    def step(t: int) -> None:
        x, _ = next(batches)
        x = x.view(-1, 784)
        adam.zero_grad()
        h = layers[0](x).relu()
        mu, logvar = layers[1](h), layers[2](h)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        made = layers[4](layers[3](z).relu()).sigmoid()
        bce = nn.functional.binary_cross_entropy(made, x, reduction="sum")
        loss = bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        loss.backward()
        adam.step()
        loss.item()

    return step


def ours(case: str, data) -> Callable[[int], None]:
    """One step of our loop: a batch of the stream, `Task.step`."""
    import torch

    from models.gan import gan
    from translate.task import DataInfo, find
    from translate.training.stream import Stream
    from translate.training.update import Update

    class Alone:
        num_processes, device = 1, torch.device("cpu")

    adam = dict(optimizer="adam", learning_rate=2e-4, beta1=0.5, batch_size=64)
    critic = dict(objective="wasserstein", penalty=("gradient",), n_critic=5)
    settings = {
        "gan": adam,
        "wgan_gp": adam | critic,
        "vae": dict(network="dense", likelihood="bernoulli", latent=20, learning_rate=1e-3, batch_size=128),
        "dcgan": dict(batch_size=64),
    }[case]
    method = find("gan" if case == "wgan_gp" else case)
    if method is gan.GAN:
        method = type("Published", (gan.GAN,), {"networks": lambda self: published(case)})
    config = dataclasses.replace(method.Config(), size=28, mixed_precision="no", **settings)
    task = method(config, DataInfo.of(data.info)).train()
    update, stream = Update(task, config, Alone(), None), Stream(data, config.batch_size, seed=0)

    def step(t: int) -> None:
        task.step(stream.batch(t), t, update)

    return step


def usual(case: str, arrays) -> Callable[[int], None]:
    from models.gan import dcgan

    batches = loader(arrays, 128 if case == "vae" else 64, normalised=case != "vae")
    if case == "vae":
        return vae_loop(batches)
    if case == "dcgan":
        return game_loop(dcgan.Generator(100, 64, 28, 1), dcgan.Discriminator(1, 64, 28), batches, 100)
    G, D = published(case)
    return penalised_loop(G, D, batches) if case == "wgan_gp" else game_loop(G, D, batches, 100)


def measure(case: str, data, arrays, steps: int, rounds: int) -> dict:
    """CPU milliseconds of a step of both, in turns."""
    loops = {"usual": usual(case, arrays), "ours": ours(case, data)}
    found: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(rounds + 1):
        for name, step in loops.items():
            begun = time.process_time()
            for t in range(number * steps, (number + 1) * steps):
                step(t)
            if number:  # the first round warms up
                found[name].append(1000 * (time.process_time() - begun) / steps)
    medians = {name: statistics.median(values) for name, values in found.items()}
    return {"case": case, **medians, "ratio": medians["usual"] / medians["ours"]}


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    import datasets
    from datasets.arrays import open_arrays

    data = datasets.load("images", str(settings.data), size=28, resize="resize", flip=False)
    arrays = open_arrays(settings.data).parts["train"]
    print("| case | usual loop, ms | ours, ms | ratio |\n|---|---|---|---|")
    for case in settings.cases:
        row = measure(case, data, arrays, settings.steps, settings.rounds)
        print(f"| {case} | {row['usual']:.2f} | {row['ours']:.2f} | {row['ratio']:.2f} |", flush=True)


if __name__ == "__main__":
    import tyro

    main(tyro.cli(Settings, description=(__doc__ or "").split("\n")[0]))
