"""Adversarial games and their regularisers. All is minimised; D returns logits of any shape, averaged.

Each game has `discriminate(real, fake)`, the loss of D from its logits, and `fool(D, fake, real)`, the loss
of G from D itself and pictures. Write σ for the sigmoid and ζ(x) = log(1 + eˣ), so that -log σ(x) = ζ(-x)
and -log(1 - σ(x)) = ζ(x).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from translate.config import GameConfig

Critic = Callable[[Tensor], Tensor]  # D: pictures [B, C, H, W] to logits [B, ...]


class Game:
    """What games have in common that judge each picture alone."""

    name: str  # as `--objective` has it
    boundary = 0.0  # logits above it say "real"

    def as_real(self, logits: Tensor) -> Tensor:
        """The loss of D, of each logit, for a picture that is real."""
        raise TypeError(f"{type(self).__name__} does not judge pictures one by one")

    def as_fake(self, logits: Tensor) -> Tensor:
        """The loss of D, of each logit, for a picture that is fake."""
        raise TypeError(f"{type(self).__name__} does not judge pictures one by one")

    def discriminate(
        self, real: Tensor, fake: Tensor, target: Tensor | float | None = None,
        mismatched: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """target: of the real pictures, where it is not 1 (`choices.discriminate`); fakes have 0.

        mismatched: of real pictures with what belongs to others, such as captions: they are false, too, and
        weigh as much as the fakes, one half each (Reed et al. 2016, arXiv 1605.05396, algorithm 1).
        """
        as_target, false = self.as_real(real), self.as_fake(fake).mean()
        if target is not None:
            as_target = target * as_target + (1 - target) * self.as_fake(real)
        if mismatched is not None:
            false = (false + self.as_fake(mismatched).mean()) / 2
        return as_target.mean() + false


class Minimax(Game):
    """Goodfellow et al. 2014 (arXiv 1406.2661), eq. 1: min_G max_D E log D(x) + E log(1 - D(G(z)))."""

    name = "minimax"

    def as_real(self, logits: Tensor) -> Tensor:
        return F.softplus(-logits)

    def as_fake(self, logits: Tensor) -> Tensor:
        return F.softplus(logits)

    def fool(self, D: Critic, fake: Tensor, real: Tensor) -> Tensor:
        return -F.softplus(D(fake)).mean()  # E log(1 - D(G(z)))


class NonSaturating(Minimax):
    """Goodfellow et al. 2014, section 3: G maximises log D(G(z)), whose gradient does not vanish early."""

    name = "non-saturating"

    def fool(self, D: Critic, fake: Tensor, real: Tensor) -> Tensor:
        return F.softplus(-D(fake)).mean()


class LeastSquares(Game):
    """LSGAN, Mao et al. 2017 (arXiv 1611.04076), eq. 9, with labels 0 and 1 and without its factors 1/2."""

    name = "least-squares"
    boundary = 0.5

    def as_real(self, logits: Tensor) -> Tensor:
        return (logits - 1).square()

    def as_fake(self, logits: Tensor) -> Tensor:
        return logits.square()

    def fool(self, D: Critic, fake: Tensor, real: Tensor) -> Tensor:
        return (D(fake) - 1).square().mean()


class Wasserstein(Game):
    """WGAN, Arjovsky et al. 2017 (arXiv 1701.07875), eq. 2. D must be kept Lipschitz: use a penalty.

    A lecture prints D's and G's losses as D(x) - D(G(z)) and D(G(z)): both are maximised there.
    """

    name = "wasserstein"

    def as_real(self, logits: Tensor) -> Tensor:
        return -logits

    def as_fake(self, logits: Tensor) -> Tensor:
        return logits

    def fool(self, D: Critic, fake: Tensor, real: Tensor) -> Tensor:
        return -D(fake).mean()


class Hinge(Game):
    """Lim & Ye 2017 (arXiv 1705.02894); Miyato et al. 2018 (arXiv 1802.05957), eqs. 16 and 17."""

    name = "hinge"

    def as_real(self, logits: Tensor) -> Tensor:
        return F.relu(1 - logits)

    def as_fake(self, logits: Tensor) -> Tensor:
        return F.relu(1 + logits)

    def fool(self, D: Critic, fake: Tensor, real: Tensor) -> Tensor:
        return -D(fake).mean()


class RelativisticPairing:
    """Jolicoeur-Martineau 2018 (arXiv 1807.00734), logistic: is this real picture more real than this fake?

    Stable together with R1 and R2 (Huang et al. 2024, arXiv 2501.05441): `--penalty r1 r2`.
    """

    name = "relativistic"

    def discriminate(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake - real).mean()

    def fool(self, D: Critic, fake: Tensor, real: Tensor) -> Tensor:
        # Detached, not under no_grad: autocast would keep weights cast there, and D get no gradient of them.
        return F.softplus(D(real).detach() - D(fake)).mean()


GAMES = {
    game.name: game
    for game in (Minimax, NonSaturating, LeastSquares, Wasserstein, Hinge, RelativisticPairing)
}


def game(name: str):
    """The objective of that name (the values of `--objective`)."""
    return GAMES[name]()


def input_gradient(D: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """∇ D̄ of each sample by all of D's inputs [B, ...], joined: [B, N], float32, with a graph for the second
    derivative. D̄ is the mean of a sample's logits, as the games take it: of 900 patches, not their sum.
    """
    with torch.autocast(inputs[0].device.type, enabled=False):
        inputs = tuple(x.detach().float().requires_grad_(True) for x in inputs)
        means = D(*inputs).reshape(len(inputs[0]), -1).mean(1)
        gradients = torch.autograd.grad(means.sum(), inputs, create_graph=True)
    return torch.cat([gradient.flatten(1) for gradient in gradients], 1)


def zero_centred(D: Critic, x: Tensor) -> Tensor:
    """½ E ‖∇ₓ D̄(x)‖²: R1 on real and R2 on fake pictures (Mescheder et al. 2018, arXiv 1801.04406, eq. 9)."""
    return 0.5 * input_gradient(D, x).square().sum(1).mean()


def one_centred(D: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """E (‖∇ D̄(x̂)‖ - 1)², x̂ uniform between real and fake (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3)."""
    epsilon = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
    between = epsilon * real.detach().float() + (1 - epsilon) * fake.detach().float()
    return (input_gradient(D, between).norm(dim=1) - 1).square().mean()


def r1(D: Critic, real: Tensor, fake: Tensor) -> Tensor:
    return zero_centred(D, real)


def r2(D: Critic, real: Tensor, fake: Tensor) -> Tensor:
    return zero_centred(D, fake)


PENALTIES = {"r1": r1, "r2": r2, "gradient": one_centred}


def regularise(D: Critic, real: Tensor, fake: Tensor, t: int, c: GameConfig) -> Tensor:
    """What `--penalty` adds to the loss of D at update `t`: λ times the sum of the penalties chosen.

    With `--penalty-every k` it comes every k updates, then k times as strong (lazy regularisation: Karras et
    al. 2020, arXiv 1912.04958, appendix B). Both pictures [B, C, H, W]; zero where there is nothing to add.

    λ = 10 suits patches, too: of pix2pix's D (70 px, facades at 128 px), after 240 updates of two, R1 halves
    the gradient (of the mean 0.131 to 0.057, of one patch 0.80 to 0.41) and leaves the loss (0.554, 0.556).
    """
    chosen = [PENALTIES[name] for name in dict.fromkeys(c.penalty) if name != "none"]
    if not chosen or t % c.penalty_every:
        return torch.zeros((), device=real.device)
    penalties = torch.stack([penalty(D, real, fake) for penalty in chosen])
    return c.lambda_penalty * c.penalty_every * penalties.sum()
