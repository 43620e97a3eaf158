"""Readers: small CNNs that tell what a picture shows, trained on real pictures only, to judge generated ones.

A reader has one or more heads, each a question with named answers: {"style": ("line", "noto", ...)}.
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate import probe
from translate.config import UserError
from translate.training.checkpoint import save_tensors


class Reader(nn.Module):
    """One linear layer per head upon the features of a trunk.

    stages: five stages of two 3x3 convolutions with batch norm, mean over positions. lenet: two 5x5
    convolutions with pooling, then a layer of 500, of grey pictures (LeCun et al. 1998, as Caffe draws it).
    """

    def __init__(
        self, heads: dict[str, tuple[str, ...]], size: int = 64, width: int = 32, trunk: str = "stages"
    ):
        super().__init__()
        self.heads, self.size, self.width, self.trunk = dict(heads), size, width, trunk
        self.features, self.num_features = {"stages": stages, "lenet": lenet}[trunk](size, width)
        self.answers = nn.ModuleDict(
            {name: nn.Linear(self.num_features, len(v)) for name, v in heads.items()}
        )

    def see(self, pictures: Tensor) -> Tensor:
        """[B, 1 or 3, H, W] in [-1, 1], any size, to features [B, num_features]."""
        if self.trunk == "lenet":
            pictures = pictures.mean(1, keepdim=True)
        pictures = pictures.expand(-1, 1 if self.trunk == "lenet" else 3, -1, -1)
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        if pictures.shape[-2:] != (self.size, self.size):
            pictures = F.interpolate(pictures, (self.size, self.size), mode="bilinear", antialias=True)
        return self.features(pictures).mean((2, 3))

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """[B, 1 or 3, H, W] in [-1, 1], any size, to logits {head: [B, answers]}."""
        seen = F.dropout(self.see(pictures), 0.3, self.training)
        return {name: answer(seen) for name, answer in self.answers.items()}

    @torch.inference_mode()
    def read(self, pictures: Tensor, batch: int = 64) -> dict[str, Tensor]:
        """The likeliest answer per head, as its number: {head: int64 [B]}."""
        self.eval()
        parts = [self(part) for part in pictures.split(batch)]
        return {name: torch.cat([part[name].argmax(1) for part in parts]) for name in self.heads}

    def share(self, pictures: Tensor, head: str, answer: str) -> float:
        """The share of the pictures that this head reads as `answer`."""
        return float((self.read(pictures)[head] == self.heads[head].index(answer)).float().mean())


def stages(size: int, width: int) -> tuple[nn.Module, int]:
    """[B, 3, size, size] to [B, 8 width, size / 32, size / 32], and how many features that is."""
    widths = [3, width, 2 * width, 4 * width, 4 * width, 8 * width]
    blocks = []
    for before, after in zip(widths[:-1], widths[1:], strict=True):
        for inputs, stride in ((before, 2), (after, 1)):
            conv = nn.Conv2d(inputs, after, 3, stride, 1, bias=False)
            blocks += [conv, nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*blocks), widths[-1]


def lenet(size: int, width: int) -> tuple[nn.Module, int]:
    """[B, 1, size, size] to [B, 500, 1, 1]; `width` is the first convolution's, 20 in Caffe's."""
    side = ((size - 4) // 2 - 4) // 2
    first = [nn.Conv2d(1, width, 5), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(width, 5 * width // 2, 5), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *second, nn.Conv2d(5 * width // 2, 500, side), nn.ReLU()), 500


def fit(reader: Reader, batch: Callable[[int], tuple[Tensor, dict[str, Tensor]]], steps: int) -> None:
    """Train with cross entropy, summed over heads. `batch(t)` gives pictures and {head: answers}.

    AdamW with a one-cycle learning rate (Smith & Topin 2018, arXiv 1708.07120).
    """
    from tqdm import tqdm

    optimizer = torch.optim.AdamW(reader.parameters(), weight_decay=5e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    reader.train()
    bf16 = probe.bf16_pays(reader, lambda: reader(batch(0)[0]))
    for t in (bar := tqdm(range(steps), unit=" steps")):
        pictures, truth = batch(t)
        with torch.autocast(pictures.device.type, torch.bfloat16, enabled=bf16):
            logits = reader(pictures)
        loss = sum(
            F.cross_entropy(logits[name].float(), truth[name], label_smoothing=0.05) for name in reader.heads
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        bar.set_postfix_str(f"loss {loss.item():.3f}", refresh=False)
    reader.eval()


def accuracy(reader: Reader, pictures: Tensor, truth: dict[str, Tensor]) -> dict[str, float]:
    """The share of right answers per head."""
    return {
        name: float((answers == truth[name]).float().mean())
        for name, answers in reader.read(pictures).items()
    }


def save(reader: Reader, path: Path, facts: dict[str, str]) -> None:
    """One safetensors file; heads, sizes and `facts` (data, accuracy) lie in its metadata. fp16."""
    shape = dict(size=str(reader.size), width=str(reader.width), trunk=reader.trunk)
    metadata = facts | dict(heads=json.dumps(reader.heads)) | shape
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in reader.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(tensors, path, metadata)


def load(path: Path) -> Reader:
    """The inverse of `save`, in eval mode. Raises UserError where the file is no reader."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        heads = {name: tuple(answers) for name, answers in json.loads(facts["heads"]).items()}
        reader = Reader(heads, int(facts["size"]), int(facts["width"]), facts.get("trunk", "stages"))
        reader.load_state_dict(tensors)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} is no reader ({str(error).splitlines()[0]}); train it again") from None
    return reader.float().eval()
