"""Scores of pictures against the very pictures they should have been, uint8 [N, 3, H, W] both."""

import torch
from torch import Tensor

from translate.config import UserError
from translate.metrics import Score
from translate.metrics.features import FeatureNetwork

WINDOW = 11  # pixels, of SSIM's Gaussian
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # weights of MS-SSIM, Wang et al. 2003


def multi_scale_ssim(pictures: Tensor, truths: Tensor) -> Score:
    """Mean MS-SSIM on RGB (Wang, Simoncelli & Bovik 2003; torchmetrics).

    Five scales need pictures of more than 160 px; smaller ones are seen at the first few, whose weights are
    made to add up to 1.
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as structure

    side = min(pictures.shape[-2:])
    fit = [n for n in range(1, 6) if side // max(1, n - 1) ** 2 >= WINDOW]
    if not fit:
        raise UserError(f"ms-ssim needs pictures of {WINDOW} px or more, not {side}")
    betas = torch.tensor(SCALES[: fit[-1]])
    found = []
    for ours, theirs in zip(pictures.split(16), truths.split(16), strict=True):
        options = dict(data_range=255.0, betas=tuple((betas / betas.sum()).tolist()), reduction="none")
        found.append(structure(ours.float(), theirs.float(), normalize="relu", **options).reshape(-1))
    protocol = f"MS-SSIM on RGB, {fit[-1]} scales, 8 bits, mean of {len(pictures)} pictures"
    return Score(float(torch.cat(found).mean()), "", protocol, len(pictures))


def lpips(pictures: Tensor, truths: Tensor) -> Score:
    """Mean LPIPS v0.1 with AlexNet (Zhang et al. 2018, arXiv 1801.03924; torchmetrics). Raises UserError
    where AlexNet's weights cannot be fetched."""
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    try:
        metric = LearnedPerceptualImagePatchSimilarity("alex", normalize=False)
    except OSError as error:
        raise UserError(
            f"lpips needs AlexNet's weights, which could not be fetched ({type(error).__name__}); "
            "the metric perceptual needs no download"
        ) from None
    with torch.inference_mode():
        for ours, theirs in zip(pictures.split(16), truths.split(16), strict=True):
            metric.update(ours.float() / 127.5 - 1, theirs.float() / 127.5 - 1)
    protocol = f"LPIPS v0.1, AlexNet, mean of {len(pictures)} pictures"
    return Score(float(metric.compute()), "", protocol, len(pictures))


@torch.inference_mode()
def perceptual(pictures: Tensor, truths: Tensor, net: FeatureNetwork) -> Score:
    """Mean distance of features at several depths, each place's features made a unit vector, squared
    differences added over channels, averaged over places and depths (Zhang et al. 2018, eq. 1, all w = 1)."""
    found = []
    for both in zip(pictures.split(16), truths.split(16), strict=True):
        ours, theirs = (
            [torch.nn.functional.normalize(x.float(), dim=1) for x in net.depths(part)] for part in both
        )
        depths = [(a - b).square().sum(1).mean((1, 2)) for a, b in zip(ours, theirs, strict=True)]
        found.append(torch.stack(depths).mean(0))
    protocol = f"perceptual distance, {net.title}, unit features, no learned weights"
    return Score(float(torch.cat(found).mean()), "", protocol, len(pictures))
