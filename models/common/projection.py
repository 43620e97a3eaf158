"""A discriminator that is told the class: projection (Miyato & Koyama 2018, arXiv 1802.05637).

    D(x, y) = vᵧᵀ φ(x) + ψ(φ(x))                                                                       (eq. 3)

φ are features of the picture, summed over places, vᵧ a learned vector of class y, ψ linear. With spectral
norm throughout, as the authors have it (Miyato et al. 2018, arXiv 1802.05957).
"""

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class Projection(nn.Module):
    """Features and labels [B] of 0 to `classes` - 1 to logits [B]; of pictures without label (-1), ψ alone.

    `D.forward(x, label)` of a class-conditional D is `self.head(self.trunk(x), label)`; games and penalties
    take `functools.partial(D, label=label)`.
    """

    def __init__(self, features: int, classes: int, normalised: bool = True):
        super().__init__()
        self.classes, self.psi = nn.Embedding(classes, features), nn.Linear(features, 1)
        nn.init.xavier_uniform_(self.classes.weight)
        nn.init.xavier_uniform_(self.psi.weight)
        if normalised:
            spectral_norm(self.classes)
            spectral_norm(self.psi)

    def forward(self, features: Tensor, label: Tensor) -> Tensor:
        """Features [B, F] or maps of them [B, F, H, W], which are rectified by then."""
        phi = features.flatten(2).sum(2) if features.dim() > 2 else features
        known = (label >= 0).to(phi.dtype)
        v = self.classes(label.clamp(min=0)).to(phi.dtype)
        return self.psi(phi).squeeze(1) + known * (v * phi).sum(1)
