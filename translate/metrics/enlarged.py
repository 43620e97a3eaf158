"""Scores of enlarged pictures by the protocol of the super-resolution papers.

On the luma Y of BT.601 in studio range (16 to 235) or on RGB, with as many pixels as the scale cut from each
border, 8-bit values, and the mean over pictures, not over pixels.
"""

from collections.abc import Iterable
from typing import Literal

from torch import Tensor

from translate.metrics import Score, pairs

Colours = Literal["Y", "RGB"]
WINDOW = 11  # pixels, of SSIM's Gaussian


def luma(picture: Tensor) -> Tensor:
    """Grey levels [B, 3, H, W] in [0, 255] to Y in [16, 235], [B, 1, H, W]; grey pictures likewise."""
    weights = picture.new_tensor([65.481, 128.553, 24.966] if picture.shape[1] == 3 else [219.0]) / 255
    return (picture * weights.view(1, -1, 1, 1)).sum(1, keepdim=True) + 16


def compared(pictures: Iterable[Tensor], truths: Iterable[Tensor], border: int, colours: Colours):
    """Both of each pair as float64 grey levels [1, C, H, W], rounded to 8 bits, the border cut."""
    for both in pairs(pictures, truths):
        grey_levels = [((x.double() + 1) * 127.5).round() for x in both]
        grey_levels = [luma(x) if colours == "Y" else x for x in grey_levels]
        inner = [x[..., border : x.shape[-2] - border, border : x.shape[-1] - border] for x in grey_levels]
        yield from zip(*(x.split(1) for x in inner), strict=True)


def protocol(what: str, border: int, colours: Colours, count: int) -> str:
    space = "Y (BT.601 studio range)" if colours == "Y" else "RGB"
    return f"{what} on {space}, border {border} cut, 8 bits, mean of {count} pictures"


def psnr(pictures: Iterable[Tensor], truths: Iterable[Tensor], border: int, colours: Colours = "Y") -> Score:
    """Mean PSNR in dB of pictures and truths, batches [B, C, H, W] in [-1, 1] (torchmetrics)."""
    from torchmetrics.functional.image import peak_signal_noise_ratio

    found = [
        float(peak_signal_noise_ratio(ours, theirs, data_range=255.0))
        for ours, theirs in compared(pictures, truths, border, colours)
    ]
    return Score(sum(found) / len(found), "dB", protocol("PSNR", border, colours, len(found)), len(found))


def ssim(pictures: Iterable[Tensor], truths: Iterable[Tensor], border: int, colours: Colours = "Y") -> Score:
    """Mean SSIM (Wang et al. 2004): Gaussian window 11 x 11, sigma 1.5, inside the picture (torchmetrics)."""
    from torchmetrics.functional.image import structural_similarity_index_measure as structure

    options = dict(sigma=1.5, kernel_size=WINDOW, data_range=255.0, return_full_image=True)
    found = []
    for ours, theirs in compared(pictures, truths, border, colours):
        _, everywhere = structure(ours.float(), theirs.float(), **options)
        beside = WINDOW // 2  # there the window leaves the picture
        found.append(float(everywhere[..., beside:-beside, beside:-beside].mean()))
    return Score(sum(found) / len(found), "", protocol("SSIM", border, colours, len(found)), len(found))
