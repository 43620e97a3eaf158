"""Latents of a model that draws from noise: where a picture lies, ways between, arithmetic, decodings.

Noise is Gaussian, and so are codes of an encoder, more or less: ways go round the origin, where such vectors
lie (White 2016, arXiv 1609.04468).
"""

import io
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from translate.config import UserError
from translate.inference import images
from translate.inference.images import Picture
from translate.inference.sampling import Sampler, slerp

CANDIDATES, STEPS = 64, 150  # of the search for a picture's noise, where there is no encoder
PACE = 120  # milliseconds a picture of a moving one
Report = Callable[[float], None]


def end(model: Sampler, given: Picture | int, report: Report | None = None) -> Tensor:
    """The latents [1, *noise_shape] of a picture, or of a seed."""
    if isinstance(given, int):
        return model.noise(1, given)
    return model.encode(given) if hasattr(model.task, "encode") else sought(model, given, report)


def sought(model: Sampler, picture: Picture, report: Report | None = None) -> Tensor:
    """The noise whose picture is most like this one: the best of some, then Adam on the squared error, with
    a little pull to the origin (Lipton & Tripathi 2017, arXiv 1702.04782)."""
    target = model.square(picture).to(model.device)
    z = model.noise(CANDIDATES, 0).to(model.device)
    labels = model.others(CANDIDATES, 0, noise=z)
    with model._reproducible(0), model._inference():
        apart = (model.task(**labels).float() - target).square().flatten(1).mean(1)
    best = int(apart.argmin())
    z = z[best : best + 1].clone().requires_grad_()
    given = {name: value[best : best + 1] for name, value in labels.items() if name != "noise"}
    adam = torch.optim.Adam([z], lr=0.1)
    with model._reproducible(0), torch.enable_grad():
        for t in range(STEPS):
            adam.param_groups[0]["lr"] = 0.1 * (1 - t / STEPS)
            loss = (model.task(noise=z, **given).float() - target).square().mean() + 1e-3 * z.square().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            if report:
                report((t + 1) / STEPS)
    return z.detach().cpu()


def way(model: Sampler, start: Tensor, finish: Tensor, n: int, **given) -> list[Picture]:
    """`n` pictures from one place to another, both included."""
    places = [slerp(start, finish, place) for place in torch.linspace(0, 1, n).tolist()]
    return model.from_noise(torch.cat(places), **given)


def combined(model: Sampler, groups: Sequence[Sequence[int]], **given) -> list[Picture]:
    """Pictures of the mean noises of three groups of seeds and, last, of the first less the second plus the
    third (Radford et al. 2016, arXiv 1511.06434, section 6.3)."""
    a, b, c = (torch.cat([model.noise(1, seed) for seed in seeds]).mean(0, keepdim=True) for seeds in groups)
    return model.from_noise(torch.cat([a, b, c, a - b + c]), **given)


def decodings(model: Sampler, picture: Picture, n: int, seed: int = 0) -> list[Picture]:
    """Pictures of `n` codes drawn for one picture. Raises UserError where the model has one code for it."""
    if not hasattr(model.task, "posterior"):
        raise UserError(f"{model.name} has one code, not several, for a picture; a vae draws them")
    x = model.square(picture).to(model.device)
    with model._reproducible(seed), model._inference():
        mu, log_var = model.task.posterior(x)
        codes = mu + (0.5 * log_var).exp() * torch.randn(n, *mu.shape[1:]).to(mu)
    return model.from_noise(codes.float().cpu())


def moving(pictures: Sequence[Picture], format: str = "GIF") -> bytes:
    """There and back, for ever."""
    frames = [images.to_image(picture.tensor).convert("RGB") for picture in pictures]
    small = max(1, 128 // max(frames[0].size))  # digits would be stamps
    if small > 1:
        frames = [frame.resize([small * side for side in frame.size], 0) for frame in frames]
    file = io.BytesIO()
    options = dict(save_all=True, append_images=[*frames[1:], *frames[-2:0:-1]], duration=PACE, loop=0)
    frames[0].save(file, format, **options)
    return file.getvalue()
