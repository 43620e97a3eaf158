"""Adversarial games and their regularisers. Everything is minimised; D returns logits of any shape, averaged.

Each game has `discriminate(real, fake)`, the loss of D, and `fool(fake, real)`, the loss of G. Write σ for
the sigmoid and ζ(x) = log(1 + eˣ), so that -log σ(x) = ζ(-x) and -log(1 - σ(x)) = ζ(x).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


class Minimax:
    """Goodfellow et al. 2014 (arXiv 1406.2661), eq. 1: min_G max_D E log D(x) + E log(1 - D(G(z)))."""

    pairs = False  # whether fool() needs D's answer to real pictures

    def discriminate(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def fool(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -F.softplus(fake).mean()  # E log(1 - D(G(z)))


class NonSaturating(Minimax):
    """Goodfellow et al. 2014, section 3: G maximises log D(G(z)), whose gradient does not vanish early."""

    def fool(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return F.softplus(-fake).mean()


class LeastSquares:
    """LSGAN, Mao et al. 2017 (arXiv 1611.04076), eq. 9, with labels 0 and 1 and without its factors 1/2."""

    pairs = False

    def discriminate(self, real: Tensor, fake: Tensor) -> Tensor:
        return (real - 1).square().mean() + fake.square().mean()

    def fool(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return (fake - 1).square().mean()


class Wasserstein:
    """WGAN, Arjovsky et al. 2017 (arXiv 1701.07875), eq. 2. D must be kept Lipschitz: use a penalty.

    A lecture prints D's and G's losses as D(x) - D(G(z)) and D(G(z)): both are maximised there.
    """

    pairs = False

    def discriminate(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    def fool(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake.mean()


class Hinge:
    """Lim & Ye 2017 (arXiv 1705.02894); Miyato et al. 2018 (arXiv 1802.05957), eqs. 16 and 17."""

    pairs = False

    def discriminate(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def fool(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake.mean()


class RelativisticPairing:
    """Jolicoeur-Martineau 2018 (arXiv 1807.00734), logistic: is this real picture more real than this fake?

    Stable together with R1 and R2 (Huang et al. 2024, arXiv 2501.05441).
    """

    pairs = True

    def discriminate(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake - real).mean()

    def fool(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return F.softplus(real - fake).mean()


GAMES = {
    "minimax": Minimax,
    "non-saturating": NonSaturating,
    "least-squares": LeastSquares,
    "wasserstein": Wasserstein,
    "hinge": Hinge,
    "relativistic": RelativisticPairing,
}


def game(name: str):
    """The objective of that name (the values of `--objective`)."""
    return GAMES[name]()


def input_gradient(D: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∇ₓ Σ D(x), per picture flattened to [B, N]; float32, with a graph for the second derivative."""
    with torch.autocast(x.device.type, enabled=False):
        x = x.detach().float().requires_grad_(True)
        (gradient,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    return gradient.flatten(1)


def zero_centred(D: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """½ E ‖∇ₓ D(x)‖²: R1 on real and R2 on fake pictures (Mescheder et al. 2018, arXiv 1801.04406, eq. 9)."""
    return 0.5 * input_gradient(D, x).square().sum(1).mean()


def one_centred(D: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """E (‖∇ D(x̂)‖ - 1)², x̂ uniform between real and fake (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3)."""
    epsilon = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
    between = epsilon * real.detach().float() + (1 - epsilon) * fake.detach().float()
    return (input_gradient(D, between).norm(dim=1) - 1).square().mean()


def penalty(name: str, D: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """The regulariser of D by name: `r1`, `r2`, `gradient`, or `none` (zero)."""
    if name == "r1":
        return zero_centred(D, real)
    if name == "r2":
        return zero_centred(D, fake)
    if name == "gradient":
        return one_centred(D, real, fake)
    return torch.zeros((), device=real.device)
