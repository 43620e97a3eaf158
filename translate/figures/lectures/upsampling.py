"""Transposed convolutions of stride 2 draw a grid of period 2; resizing first draws none.

Odena et al. 2016 (distill.pub/2016/deconv-checkerboard): where the kernel (3) is no multiple of the stride
(2), pixels are painted by two taps or by one. Untrained layers, noise in, mean spectrum out.
"""

import torch
from torch import nn

from translate.figures.lecture import Drawn, Work
from translate.figures.plots import DATA, JUDGE, MADE, pictures, sheet, titled
from translate.vitals import grid_power

KINDS = {
    "transposed, 3 wide": lambda: nn.ConvTranspose2d(16, 1, 3, 2, 1, output_padding=1),
    "transposed, 4 wide": lambda: nn.ConvTranspose2d(16, 1, 4, 2, 1),
    "resize, then 3 wide": lambda: nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(16, 1, 3, 1, 1)),
}


def draw(work: Work) -> Drawn:
    n = work.of(64, 8)
    figure, panels = sheet(4, wide=2.3, high=2.5)
    numbers = {}
    with torch.random.fork_rng([]), torch.no_grad():
        torch.manual_seed(work.seed)
        smooth = nn.functional.interpolate(torch.randn(n, 16, 4, 4), 32, mode="bicubic").relu()
        for (name, kind), panel, colour, line in zip(
            KINDS.items(), panels, (MADE, DATA, JUDGE), ("-", "--", "-"), strict=False
        ):
            made = torch.cat([kind()(smooth[i : i + 1]) for i in range(n)])
            lines, whole = grid_power(made)
            power, few = lines / whole, made[:1] - made[:1].mean()
            pictures(panel, few / few.abs().max(), 1, f"{name}\n{power:.2%} of period 2")
            spectrum = torch.fft.rfft2(made - made.mean((2, 3), keepdim=True)).abs().square().mean((0, 1, 2))
            cycles = torch.linspace(0, 0.5, len(spectrum))
            panels[3].semilogy(cycles, spectrum / spectrum.sum(), color=colour, ls=line, label=name)
            numbers[f"power of period 2, {name}"] = power
    titled(panels[3], "spectrum of rows", "cycles a pixel", legend=True)
    return Drawn(figure, numbers)
