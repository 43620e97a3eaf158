"""Unrolled GANs (Metz et al. 2017, arXiv 1611.02163): G looks k updates of D ahead.

    θ_D⁰ = θ_D,   θ_D^{k+1} = θ_D^k - Adam(∇ L_D(θ_D^k, θ_G))                                   (eqs. 4 and 5)
    G minimises -L_D(θ_D^K, θ_G); D descends L_D(θ_D, θ_G) once                                  (eqs. 7 to 9)

The gradient of G goes through the k updates, Adam's included, as in the authors' code.
"""

from collections.abc import Callable, Iterable

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
    parameters = dict(D.named_parameters())
    sizes = [p.numel() for p in parameters.values()]
    kept = [adam.state.get(p, {}) for p in parameters.values()]
    steps = kept[0].get("step", torch.zeros(())).to(next(iter(parameters.values())))
    buffers = {name: buffer.clone() for name, buffer in D.named_buffers()}

    def whole(tensors: Iterable[Tensor]) -> Tensor:
        """As one vector: small networks wait for the number of operations."""
        return torch.cat([tensor.detach().flatten() for tensor in tensors])

    def critic(theta: Tensor) -> Callable[[Tensor], Tensor]:
        parts = zip(parameters.items(), theta.split(sizes), strict=True)
        weights = {name: part.view(p.shape) for (name, p), part in parts}
        return lambda x: functional_call(D, {**weights, **buffers}, (x,))

    theta = whole(parameters.values()).requires_grad_()
    m, v = (
        whole(state.get(key, torch.zeros_like(p)) for state, p in zip(kept, parameters.values(), strict=True))
        for key in ("exp_avg", "exp_avg_sq")
    )
    for i in range(1, k + 1):
        (gradient,) = torch.autograd.grad(loss(critic(theta)), theta, create_graph=True)
        m = beta1 * m + (1 - beta1) * gradient
        v = beta2 * v + (1 - beta2) * gradient.square()
        short, shorter = 1 - beta1 ** (steps + i), 1 - beta2 ** (steps + i)
        # the root of an exact 0 would have no derivative
        theta = theta - rate * (m / short) / ((v / shorter + 1e-24).sqrt() + epsilon)
    return critic(theta)
