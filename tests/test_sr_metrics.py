"""PSNR and SSIM by the protocol of the super-resolution papers, against published figures and naive loops."""

from pathlib import Path

import pytest
import torch

import datasets
from datasets.lowres import imresize, valued
from translate.metrics import enlarged

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.mark.skipif(not (DATA / "set5.zip").exists(), reason="the real data is not here")
def test_published_bicubic_figures_of_set5():
    """x4: 28.42 dB and 0.8104 (Ledig et al. 2017 and most later papers)."""
    highs = datasets.sources.open_source(f"{DATA}/set5.zip/hr")
    lows = datasets.sources.open_source(f"{DATA}/set5.zip/lr_x4")
    made, truths = [], []
    for number in range(5):
        high, low = (datasets.pictures.decode(source.read(number), 3, 8) for source in (highs, lows))
        made.append(valued(imresize(low, 4 * low.shape[1], 4 * low.shape[2])))
        truths.append(valued(high[:, : 4 * low.shape[1], : 4 * low.shape[2]]))
    psnr, ssim = enlarged.psnr(made, truths, 4), enlarged.ssim(made, truths, 4)
    assert psnr.value == pytest.approx(28.42, abs=0.02) and ssim.value == pytest.approx(0.8104, abs=0.001)
    assert "Y" in psnr.protocol and "border 4" in psnr.protocol and psnr.count == 5
    assert enlarged.psnr(made, truths, 4, "RGB").value < psnr.value


def test_luma_of_white_black_and_green():
    """BT.601: black 16, white 235, green 16 + 128.553."""
    colours = torch.tensor([[0, 0, 0], [255, 255, 255], [0, 255, 0]]).view(3, 3, 1, 1).double()
    assert enlarged.luma(colours).flatten().tolist() == pytest.approx([16, 235, 144.553])
    assert enlarged.luma(torch.full((1, 1, 1, 1), 255.0)).item() == pytest.approx(235)


def test_psnr_by_hand_and_the_border():
    truth = torch.zeros(1, 3, 12, 12) - 1
    made = truth.clone()
    made[..., 4:8, 4:8] = 10 / 127.5 - 1  # ten grey levels
    error = (10 * 219 / 255) ** 2
    assert enlarged.psnr([made], [truth], 4).value == pytest.approx(
        10 * torch.tensor(255**2 / error).log10().item()
    )
    inside = 10 * torch.tensor(255**2 / (100 * 16 / 144)).log10().item()
    assert enlarged.psnr([made], [truth], 0, "RGB").value == pytest.approx(inside)
    made[..., :2, :] = 1
    assert enlarged.psnr([made], [truth], 2, "RGB").value > 25, "the border does not count"


def test_ssim_as_written():
    """Against the formula with an explicit window, at every place where the window fits."""
    torch.manual_seed(0)
    x, y = torch.randint(0, 256, (2, 16, 16)).double()
    g = torch.exp(-((torch.arange(11) - 5.0) ** 2) / (2 * 1.5**2)).double()
    window = (g[:, None] * g) / g.sum() ** 2
    values = []
    for i in range(6):
        for j in range(6):
            a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * a * a).sum() - ma**2, (window * b * b).sum() - mb**2
            cov = (window * a * b).sum() - ma * mb
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            values.append(
                ((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).item()
            )
    both = [(v / 127.5 - 1).expand(1, 3, 16, 16) for v in (x, y)]
    assert enlarged.ssim([both[0]], [both[1]], 0, "RGB").value == pytest.approx(sum(values) / 36, abs=1e-4)
