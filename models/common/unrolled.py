"""Unrolled GANs (Metz et al. 2017, arXiv 1611.02163): G looks k updates of D ahead.

    θ_D⁰ = θ_D,   θ_D^{k+1} = θ_D^k - Adam(∇ L_D(θ_D^k, θ_G))                                   (eqs. 4 and 5)
    G minimises -L_D(θ_D^K, θ_G); D descends L_D(θ_D, θ_G) once                                  (eqs. 7 to 9)

The gradient of G goes through the k updates, Adam's included, as in the authors' code.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call


def ahead(
    D: nn.Module, adam: torch.optim.Optimizer, loss: Callable[[Callable[[Tensor], Tensor]], Tensor], k: int
) -> Callable[[Tensor], Tensor]:
    """D as it will be after k more updates of Adam on `loss`, a function of D; differentiable by whatever
    `loss` depends on. D itself and the state of `adam` stay as they are.
    """
    group = adam.param_groups[0]
    (beta1, beta2), rate, epsilon = group["betas"], group["lr"], group["eps"]
    theta = dict(D.named_parameters())
    kept = [adam.state.get(p, {}) for p in theta.values()]
    m = [s.get("exp_avg", torch.zeros_like(p)).clone() for s, p in zip(kept, theta.values(), strict=True)]
    v = [s.get("exp_avg_sq", torch.zeros_like(p)).clone() for s, p in zip(kept, theta.values(), strict=True)]
    steps = kept[0].get("step", torch.zeros(())).to(m[0])
    buffers = {name: buffer.clone() for name, buffer in D.named_buffers()}

    def now(x: Tensor) -> Tensor:
        return functional_call(D, {**theta, **buffers}, (x,))

    for i in range(1, k + 1):
        gradients = torch.autograd.grad(loss(now), list(theta.values()), create_graph=True)
        m = [beta1 * a + (1 - beta1) * g for a, g in zip(m, gradients, strict=True)]
        v = [beta2 * a + (1 - beta2) * g.square() for a, g in zip(v, gradients, strict=True)]
        short, shorter = 1 - beta1 ** (steps + i), 1 - beta2 ** (steps + i)
        moves = [  # the root of an exact 0 would have no derivative
            rate * (a / short) / ((b / shorter + 1e-24).sqrt() + epsilon) for a, b in zip(m, v, strict=True)
        ]
        names = zip(list(theta), moves, strict=True)
        theta = {name: theta[name] - move for name, move in names}
    return now
