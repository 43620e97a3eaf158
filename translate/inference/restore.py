"""A noisy or partly hidden picture, restored with a generative model as prior (Bora et al. 2017, 1703.03208).

    ẑ = argmax_z p(z | y) = argmin_z  ‖(1 - m) (G(z) - y)‖² / (2 σ²) + ½ ‖z‖²,   x̂ = G(ẑ)

y is what was seen, m the mask of what was not, σ the deviation of its noise and of what G cannot draw.
"""

import torch
from torch import Tensor

from translate.config import UserError
from translate.task import Task


def restore(
    task: Task,
    image: Tensor,
    mask: Tensor | None = None,
    deviation: float = 0.2,
    starts: int = 4,
    steps: int = 150,
    rate: float = 0.1,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """The pictures that are most probable given `image` [B, C, size, size] in [-1, 1], and their z.

    mask: [B, 1, size, size], 1 where nothing was seen. deviation: σ, in units of [-1, 1]. starts: descents by
    Adam from so many z, of which the best counts per picture; the first is the encoder's, where the model has
    one, or 0. Raises UserError for models that do not draw from noise alone.
    """
    if tuple(task.takes) != ("noise",):
        raise UserError("restoring needs a model that draws from noise alone, such as a VAE or GLANN")
    given = {parameter: parameter.requires_grad for parameter in task.parameters()}
    seen = torch.ones_like(image[:, :1]) if mask is None else 1 - mask
    z = first_codes(task, image * seen, starts, seed).requires_grad_(True)  # [starts, B, *noise_shape]
    optimizer = torch.optim.Adam([z], lr=rate)
    try:
        task.requires_grad_(False)
        for _ in range(steps):
            optimizer.zero_grad()
            with torch.enable_grad():
                energies = energy(task, z, image, seen, deviation)
                energies.sum().backward()
            optimizer.step()
        with torch.no_grad():
            best = energy(task, z, image, seen, deviation).argmin(0)
            chosen = z[best, torch.arange(len(image), device=image.device)]
            return task(noise=chosen), chosen
    finally:
        for parameter, trainable in given.items():
            parameter.requires_grad_(trainable)


def first_codes(task: Task, image: Tensor, starts: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(starts, len(image), *task.noise_shape, generator=generator).to(image.device)
    z[0] = 0
    if hasattr(task, "encode"):
        with torch.no_grad():
            code = task.encode(image)
        if code.shape == z[0].shape:
            z[0] = code
    return z


def energy(task: Task, z: Tensor, image: Tensor, seen: Tensor, deviation: float) -> Tensor:
    """-log p(z | image) + const, [starts, B]."""
    made = task(noise=z.flatten(0, 1)).unflatten(0, z.shape[:2])
    misfit = (seen * (made - image)).square().flatten(2).sum(2)
    return misfit / (2 * deviation**2) + 0.5 * z.flatten(2).square().sum(2)
