"""How sharp predicted frames are, beside how near (Mathieu et al. 2016, arXiv 1511.05440, section 4)."""

from torch import Tensor


def steps(x: Tensor) -> tuple[Tensor, Tensor]:
    """Down and across between neighbouring pixels of [B, C, H, W], absolute."""
    return x.diff(dim=-2).abs(), x.diff(dim=-1).abs()


def scores(made: Tensor, real: Tensor) -> dict[str, float]:
    """Of pictures [B, C, H, W] in [-1, 1]: PSNR and the sharpness difference (their eq. 12), both in dB and
    means over pictures, and sharpness, the mean step between neighbours over that of the real ones (1: as
    sharp as those)."""
    error = (made - real).square().flatten(1).mean(1).clamp(min=1e-8)
    (down, across), (true_down, true_across) = steps(made), steps(real)
    # |∇_i Y + ∇_j Y - (∇_i Ŷ + ∇_j Ŷ)| where a pixel has both neighbours
    both, true = ((d[..., 1:] + a[..., 1:, :]) for d, a in ((down, across), (true_down, true_across)))
    apart = (both - true).abs().flatten(1).mean(1).clamp(min=1e-8)
    sharpness = (down.mean() + across.mean()) / (true_down.mean() + true_across.mean())
    return {
        "PSNR": float((10 * (4 / error).log10()).mean()),
        "sharpness difference": float((10 * (4 / apart).log10()).mean()),
        "sharpness": float(sharpness),
    }
