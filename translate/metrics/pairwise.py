"""Scores of pictures against the very pictures they should have been, uint8 [N, 3, H, W] both."""

import torch
from torch import Tensor

from translate.config import UserError
from translate.metrics import Score
from translate.metrics.features import FeatureNetwork, fingerprint

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
    weights = fingerprint(metric.net)  # AlexNet's and the learned ones
    protocol = f"LPIPS v0.1, AlexNet {weights}, mean of {len(pictures)} pictures"
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


MOST = 32  # colours of pictures that are label maps


def segmentation(made: Tensor, truths: Tensor) -> tuple[Score, Score, Score]:
    """Share of pixels of the right class, its mean over classes, and mean intersection over union.

    made, truths: label maps uint8 [N, 3, H, W]. Classes are the colours of the truths; a pixel made counts
    as the nearest (Isola et al. 2017, arXiv 1611.07004; Zhu et al. 2017, arXiv 1703.10593: tables of labels
    from photographs). Raises UserError where the truths are no label maps.
    """
    from torchmetrics.classification import MulticlassConfusionMatrix

    colours = torch.cat([coded(part).unique() for part in truths.split(32)]).unique()
    if not 1 < len(colours) <= MOST:
        raise UserError(
            f"segmentation needs label maps as truths, 2 to {MOST} colours in all; these have "
            f"{len(colours):,}. Use PNG files without smooth edges, or leave it out"
        )
    matrix = MulticlassConfusionMatrix(len(colours))
    for ours, theirs in zip(made.split(32), truths.split(32), strict=True):
        matrix.update(classes(ours, colours), classes(theirs, colours))
    counts = matrix.compute().double()  # [true, made]
    right, true, drawn = counts.diagonal(), counts.sum(1), counts.sum(0)
    protocol = f"label maps of {len(colours)} classes, nearest colours, {len(made)} pictures"
    return (
        Score(float(right.sum() / counts.sum()), "", f"share of right pixels, {protocol}", len(made)),
        Score(
            float((right / true).mean()),
            "",
            f"share of right pixels, mean over classes, {protocol}",
            len(made),
        ),
        Score(float((right / (true + drawn - right)).mean()), "", f"mean IoU, {protocol}", len(made)),
    )


def coded(pictures: Tensor) -> Tensor:
    """uint8 [B, 3, H, W] to a number for each colour, [B, H, W]."""
    red, green, blue = pictures.long().unbind(1)
    return (red * 256 + green) * 256 + blue


def classes(pictures: Tensor, colours: Tensor) -> Tensor:
    """The place of the nearest of these coded colours, of each pixel: [B, H, W]."""

    def channels(codes: Tensor) -> Tensor:
        return torch.stack([codes // 65536, codes // 256 % 256, codes % 256], 1).double()

    found, numbers = coded(pictures).unique(return_inverse=True)
    return torch.cdist(channels(found), channels(colours)).argmin(1)[numbers]
