"""G's gradient dies under log(1 - D) while a new D learns to tell, and does not under -log D.

Arjovsky & Bottou 2017 (arXiv 1701.04862), figures 2 and 3: G is fixed after 1, 10 and 25 epochs (here of
100 updates), a D is trained from scratch, and the norm of G's gradient is taken at every tenth of its
updates. The longer G has learned, the longer D takes to tell its pictures apart: 1,500 updates here,
thousands in the paper.
"""

import torch

from models.common import objectives
from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import pictures
from translate.figures.plots import DATA, JUDGE, MADE, sheet, titled
from translate.training.lesson import Lesson

EPOCHS = (1, 10, 25)
GAMES = {"log(1 - D)": "minimax", "-log D": "non-saturating"}


def norm(task, game: str, z: torch.Tensor, x: torch.Tensor) -> float:
    loss = objectives.game(game).fool(task.D, task.G(z), x)
    gradients = torch.autograd.grad(loss, list(task.G.parameters()))
    return float(torch.stack([g.norm() for g in gradients]).norm())


def draw(work: Work) -> Drawn:
    size = 32 if work.budget > 0.2 else 16
    data, epoch, updates = pictures(work, size=size), work.of(100, 2), work.of(1500, 64)
    every = 10 if updates > 300 else 5
    settings = dict(
        size=size, channels=work.of(16, 8), latent=32, batch_size=work.of(64, 16), data=work.data, flip=False
    )
    trained = Lesson.of("dcgan", data, seed=work.seed, steps=25 * epoch, **settings)
    figure, panels = sheet(2, wide=3.4)
    numbers: dict[str, float] = {}
    for epochs, colour in zip(EPOCHS, (DATA, JUDGE, MADE), strict=True):
        work.say(f"G for {epochs} epochs of {epoch}, then D anew")
        trained.learn(epochs * epoch - trained.t)
        fresh = Lesson.of("dcgan", data, seed=work.seed + 1, steps=updates, rate_d=1e-3, **settings)
        fresh.task.G.load_state_dict(trained.task.G.state_dict())
        norms: dict[str, list[float]] = {name: [] for name in GAMES}
        z = torch.randn(fresh.config.batch_size, 32, generator=torch.Generator().manual_seed(2))
        for t in range(updates):
            x = fresh.stream.batch(t)["image"]
            fake = fresh.task.train().G(z).detach()
            game = fresh.task.objective
            fresh.update("D", game.discriminate(fresh.task.D(x), fresh.task.D(fake)))
            if t % every == 0:
                for name, kind in GAMES.items():
                    norms[name].append(norm(fresh.task, kind, z, x))
        for panel, (name, found) in zip(panels, norms.items(), strict=True):
            panel.semilogy(
                [every * i for i in range(len(found))],
                found,
                color=colour,
                label=f"{epochs} epoch{'s' * (epochs > 1)}",
            )
            end = sum(found[-3:]) / len(found[-3:])
            numbers[f"largest norm over the last, {name}, {epochs} epochs"] = max(found) / end
    panels[1].sharey(panels[0])  # falls here, does not there: one scale
    for panel, name in zip(panels, GAMES, strict=True):
        titled(panel, name, "updates of a new D", "norm of G's gradient", legend=True)
    return Drawn(figure, numbers)
