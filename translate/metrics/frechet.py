"""Distances between two sets of pictures, by the features of a network (`translate.metrics.features`).

Frechet distance: |μ - μ'|² + tr(Σ + Σ' - 2 (Σ Σ')^½) of the features (Heusel et al. 2017, arXiv 1706.08500);
it grows as the sets shrink, so compare only scores of equal counts. Kernel distance: the maximum mean
discrepancy under (x·y / d + 1)³ (Binkowski et al. 2018, arXiv 1801.01401), without that bias. Sliced
distance: how far features must be carried, along many directions in turn (MIND, arXiv 2605.06797). Inception
score: exp E KL(p(y|x) ‖ p(y)) of the network's answers (Salimans et al. 2016, arXiv 1606.03498, section 4).
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate.metrics import Score, features
from translate.metrics.features import FeatureNetwork, described

__all__ = ["described", "frechet", "inception_score", "kernel", "network", "sliced"]

KERNEL_BLOCKS = 100  # subsets whose distances are averaged
DIRECTIONS = 1000  # of the sliced distance


def network(name: str | Path) -> tuple[FeatureNetwork, str]:
    """A feature network and its title, see `features.network`. Raises UserError."""
    made = features.network(str(name))
    return made, made.title


class Given(nn.Module):
    """Hands torchmetrics features that are there already."""

    def __init__(self, width: int):
        super().__init__()
        self.num_features = width

    def forward(self, x: Tensor) -> Tensor:
        return x


def frechet(made: Tensor, real: Tensor, title: str = "") -> Score:
    """Frechet distance between features [N, D] and [M, D] (torchmetrics)."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(Given(made.shape[1])).set_dtype(torch.float64)
    metric.update(made, real=False)
    metric.update(real, real=True)
    protocol = f"Frechet distance, {title}; {len(made)} against {len(real)} real ones"
    return Score(float(metric.compute()), "", protocol, len(made))


def kernel(
    made: Tensor,
    real: Tensor,
    title: str = "",
    seed: int = 0,
    subsets: int = KERNEL_BLOCKS,
    subset_size: int | None = None,
) -> Score:
    """Kernel distance x 1000 between features [N, D] and [M, D]: the mean over random subsets, halves unless
    their size is given (published: 100 of 1,000; torchmetrics)."""
    from torchmetrics.image.kid import KernelInceptionDistance

    size = subset_size or max(2, min(len(made), len(real)) // 2)
    metric = KernelInceptionDistance(Given(made.shape[1]), subsets=subsets, subset_size=size)
    metric.update(made, real=False)
    metric.update(real, real=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, _ = metric.compute()
    protocol = f"kernel distance x 1000, {title}; {len(made)} against {len(real)} real ones"
    return Score(1000 * float(mean), "", f"{protocol}, {subsets} subsets of {size}", len(made))


def sliced(made: Tensor, real: Tensor, title: str = "", seed: int = 0, directions: int = DIRECTIONS) -> Score:
    """MIND between features [N, D] and [M, D]: 3 D E_u W₂²(u·made, u·real), u uniform on the sphere.

    W₂² on a line is the mean squared difference in order of size. Of sets of unequal size, as many of the
    larger are drawn as the smaller has.
    """
    generator = torch.Generator().manual_seed(seed)
    count = min(len(made), len(real))
    ours, theirs = (
        x if len(x) == count else x[torch.randperm(len(x), generator=generator)[:count]] for x in (made, real)
    )
    u = F.normalize(torch.randn(made.shape[1], directions, generator=generator), dim=0).to(made.device)
    ours, theirs = ((x.float() @ u).sort(0).values for x in (ours, theirs))
    value = 3 * made.shape[1] * float((ours - theirs).square().mean())
    protocol = f"sliced distance (MIND), {title}; {len(made)} against {len(real)} real ones"
    return Score(value, "", f"{protocol}, {directions} directions", len(made))


def inception_score(logits: Tensor, title: str = "", splits: int = 1, seed: int = 0) -> Score:
    """Of logits [N, classes]: 1 where every picture is answered alike, the number of classes at best.

    splits: the published protocol has 10, of 5,000 pictures each, and takes their mean (torchmetrics).
    """
    from torchmetrics.image.inception import InceptionScore

    metric = InceptionScore(Given(logits.shape[1]), splits=splits).set_dtype(torch.float64)
    metric.update(logits.double())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, _ = metric.compute()
    protocol = f"inception score, {title}; {len(logits)} pictures in {splits} splits"
    return Score(float(mean), "", protocol, len(logits))
