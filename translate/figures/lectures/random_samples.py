"""Codes drawn from N(0, I): a VAE's decode to digits, a plain autoencoder's to none, as it never had such.

A lecture's last row, and another's "code not normal". Numbers: MMD² to the data, and of codes to N(0, I).
"""

import torch

from models.common import mmd
from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import autoencoder, pictures, some, z
from translate.figures.lectures.epoch_strips import apart
from translate.figures.plots import rows


def off_normal(codes: torch.Tensor) -> float:
    d = codes.shape[1]
    other = torch.randn(codes.shape, generator=torch.Generator().manual_seed(5))
    return float(mmd.mmd2(codes, other, mmd.inverse_multiquadratic([2.0 * d])))


def draw(work: Work) -> Drawn:
    real, shown, numbers = some(pictures(work), 400)["image"], {}, {}
    for name, method in (("VAE", "vae"), ("autoencoder", "ae")):
        task = autoencoder(method, work)
        with torch.no_grad():
            made, codes = task.generate(noise=z(task, 400, work.seed)), task.encode(real)
            if method == "vae":
                codes = codes + (0.5 * task.posterior(real)[1]).exp() * z(task, 400, 6)
        shown[f"{name}: decodings of N(0, I)"] = made[:24]
        numbers[f"MMD² of samples to the data, {name}"] = apart(made, real)
        numbers[f"MMD² of codes to N(0, I), {name}"] = off_normal(codes)
    return Drawn(rows(shown, 12), numbers)
