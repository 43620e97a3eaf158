"""Choices on a game of D and G, as functions; `--help` lists them under "Choices". Defaults change nothing.

One-sided smoothing (Salimans et al. 2016, arXiv 1606.03498, section 3.3): real pictures have the target 0.9,
so that D is less sure; with the target of a fake above 0 the best D would be
((1 - α) p_data + β p_model) / (p_data + p_model) and keep G where it is wrong, so fakes stay at 0. (ganhacks,
which a lecture repeats, smooths both; Goodfellow 2016, arXiv 1701.00160, section 4.2, forbids it.)
Noisy labels spread that target, flipped ones exchange some real pictures for fakes.

Consistency (Zhang et al. 2020, arXiv 1910.12027): ‖D(x) - D(T(x))‖², T a small shift.
Weight clipping (Arjovsky et al. 2017, arXiv 1701.07875, algorithm 1): w <- clip(w, -c, c).
The selective rule of a lecture: D learns only where it is wrong about real or fake pictures, G only where D
is right about its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.common.augment import augmented, noisy, shifted
from models.common.normalise import REFERENCES
from models.common.objectives import Critic
from models.common.unrolled import ahead
from translate.config import GameConfig, GameNorm, UserError


@dataclass(frozen=True, kw_only=True)
class ChoicesConfig(GameConfig):
    """What games between G and D alone, from noise, can choose."""

    # == Choices ==
    n_critic: int = 1  # updates of D for each of G (WGAN: 5); --steps counts those of D
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"  # of both networks
    beta2: float = 0.999  # Adam's second moment
    momentum: float = 0.5  # of sgd
    rate_d: float | None = None  # D's step size; default that of G, --learning-rate
    selective: bool = False  # D learns only where it is wrong, G only where D is right about it
    unroll: int = 0  # updates of D that G looks ahead (Metz et al. 2017: 5)
    norm_g: GameNorm = "none"  # in G: batch, layer, instance, spectral, reference (batch norm), virtual
    norm_d: GameNorm = "none"  # in D, likewise
    minibatch: Literal["none", "stddev", "discrimination"] = "none"  # D compares the pictures of a batch
    clip_weights: float = 0.0  # largest weight of D (WGAN: 0.01); 0 is off
    consistency: float = 0.0  # weight of D's answer staying when the picture is shifted (CR-GAN: 10)
    augment: tuple[
        Literal["color", "translation", "cutout"], ...
    ] = ()  # D sees all pictures so (DiffAugment)
    instance_noise: float = 0.0  # deviation of noise on all that D sees, falling to 0 at the end
    smooth: float = 1.0  # target of real pictures, 0.9 for one-sided smoothing; fakes stay at 0
    label_noise: float = 0.0  # half the width of the range around that target, drawn for each picture
    flip_labels: float = 0.0  # share of pictures whose real or fake is exchanged for D
    balanced: bool = False  # every class of the data equally often, within each batch too


def check(c: ChoicesConfig, pictures: bool) -> None:
    """Raises UserError for choices that contradict each other. pictures: else points."""
    pairs, bounds = c.objective == "relativistic", c.objective not in ("relativistic", "wasserstein")
    soft = c.smooth != 1 or c.label_noise > 0
    for broken, sentence in (
        (c.n_critic < 1, f"--n-critic {c.n_critic} must be 1 or more updates of D for each of G"),
        (c.unroll < 0, f"--unroll {c.unroll} must be 0 or more updates"),
        (not 0.5 < c.smooth <= 1, f"--smooth {c.smooth:g} must be above 0.5 and at most 1, e.g. 0.9"),
        (not 0 <= c.label_noise < 0.5, f"--label-noise {c.label_noise:g} must be in [0, 0.5)"),
        (not 0 <= c.flip_labels < 0.5, f"--flip-labels {c.flip_labels:g} must be in [0, 0.5)"),
        (soft and pairs, "--smooth and --label-noise change targets; --objective relativistic has none"),
        (c.selective and not bounds, f"--selective asks when D is wrong: not with --objective {c.objective}"),
        (c.selective and c.accumulate > 1, "--selective decides for each batch: leave --accumulate at 1"),
        (c.unroll and c.optimizer != "adam", f"--unroll looks through --optimizer adam, not {c.optimizer}"),
        (not pictures and (c.augment or c.consistency), "--augment and --consistency are for pictures"),
        (c.minibatch != "none" and c.norm_d in REFERENCES,
         f"--minibatch {c.minibatch} would see the reference batch of --norm-d {c.norm_d}: choose one"),
    ):  # fmt: skip
        if broken:
            raise UserError(sentence)


def optimizer(network: nn.Module, c: ChoicesConfig, rate: float) -> torch.optim.Optimizer:
    """By `--optimizer`, for G or D."""
    parameters = list(network.parameters())
    if c.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, betas=(c.beta1, c.beta2), fused=True)
    if c.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=rate, foreach=True)
    return torch.optim.SGD(parameters, lr=rate, momentum=c.momentum, foreach=True)


def gather_momentum(c: ChoicesConfig, t: int, update) -> None:
    """With sgd: from --momentum to 0.7 over the first 125,000 updates, 250 epochs of MNIST, as published."""
    if c.optimizer == "sgd":
        momentum = c.momentum + max(0.0, 0.7 - c.momentum) * min(1.0, t / 125_000)
        for optimizer in update.optimizers.values():
            for group in optimizer.param_groups:
                group["momentum"] = momentum


def seen(D: Critic, c: ChoicesConfig, t: int) -> Critic:
    """D behind `--augment` and `--instance-noise`, whose σ falls linearly to 0 at the last update."""
    if not c.augment and not c.instance_noise:
        return D
    sigma = c.instance_noise * (1 - t / c.steps)
    return lambda x: D(noisy(augmented(x, c.augment), sigma))


def discriminate(game, real: Tensor, fake: Tensor, c: ChoicesConfig) -> Tensor:
    """The loss of D from its logits [B, ...], with labels smoothed, noisy or flipped as chosen."""
    column = (len(real), *[1] * (real.dim() - 1))
    if c.flip_labels:
        flipped = torch.rand(column, device=real.device) < c.flip_labels
        real, fake = torch.where(flipped, fake, real), torch.where(flipped, real, fake)
    if c.smooth == 1 and not c.label_noise:
        return game.discriminate(real, fake)
    target = c.smooth + c.label_noise * (2 * torch.rand(column, device=real.device) - 1)
    return game.discriminate(real, fake, target)


def consistency(D: Critic, x: Tensor, c: ChoicesConfig) -> Tensor:
    """λ E ‖D(x) - D(T(x))‖², T shifts by up to an eighth (4 pixels of 32)."""
    if not c.consistency:
        return torch.zeros((), device=x.device)
    return c.consistency * (D(x) - D(shifted(x.float(), 1 / 8))).flatten(1).square().mean(1).mean()


@torch.no_grad()
def clip(D: nn.Module, c: ChoicesConfig) -> None:
    """w <- clip(w, -c, c) of every weight."""
    if c.clip_weights:
        parameters = list(D.parameters())
        torch._foreach_clamp_min_(parameters, -c.clip_weights)
        torch._foreach_clamp_max_(parameters, c.clip_weights)


def who_learns(game, real: Tensor, fake: Tensor, c: ChoicesConfig, update) -> tuple[bool, bool]:
    """Whether D and G learn from this batch: both, unless `--selective` finds nothing to learn for one."""
    if not c.selective:
        return True, True
    real, fake = (update.mean(logits.detach().float().mean()) - game.boundary for logits in (real, fake))
    return bool((real < 0) | (fake > 0)), bool(fake < 0)


def look_ahead(
    game, D: nn.Module, x: Tensor, fake: Tensor, see: Callable[[Critic], Critic], update, k: int
) -> Tensor:
    """The loss of G against D as it will be after k updates: -L_D, whichever the game (Metz et al. 2017)."""

    def loss(D: Critic) -> Tensor:
        return game.discriminate(see(D)(x), see(D)(fake))

    return -loss(ahead(D, update.optimizers["D"], loss, k))
