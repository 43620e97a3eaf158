"""Scores of pictures made of captions: do they show what was said, and do they differ?

R-precision: of a picture's own caption and 99 of other pictures, is its own the nearest in the common space
of a `Judge` (Xu et al. 2018, arXiv 1711.10485, section 4)? The judge is trained on real pictures alone, apart
from the encoder that the generator learned with. Caption fidelity: the share of the attributes named in a
caption that a `Reader` sees in the picture. Diversity: the mean distance between pictures of one caption.
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.common.text import Pairing, TextEncoder, Words
from translate import probe
from translate.config import UserError
from translate.metrics import Score
from translate.metrics.reader import Reader
from translate.training import checkpoint
from translate.training.checkpoint import save_tensors

OTHERS = 99  # captions of other pictures that the own one must beat


class Judge(nn.Module):
    """A text and a picture encoder (sight: plain or imagenet) with one common space."""

    def __init__(self, vocabulary: tuple[str, ...], colours: int = 3, width: int = 256, sight: str = "plain"):
        super().__init__()
        self.words, self.colours, self.width, self.sight = Words(tuple(vocabulary)), colours, width, sight
        self.text = TextEncoder(len(vocabulary), width)
        self.pairing = Pairing(colours, width, sight)

    def forward(self, pictures: Tensor, captions: list[str]) -> Tensor:
        """The symmetric loss of pairs."""
        return self.pairing(pictures, self.text(self.words(captions)))

    @torch.inference_mode()
    def see(self, pictures: Tensor, batch: int = 64) -> Tensor:
        """[N, C, H, W] to unit vectors [N, width]."""
        self.eval()
        return F.normalize(torch.cat([self.pairing.sight(part) for part in pictures.split(batch)]), dim=1)

    @torch.inference_mode()
    def read(self, captions: list[str], batch: int = 256) -> Tensor:
        """Unit vectors [N, width]."""
        self.eval()
        parts = [captions[i : i + batch] for i in range(0, len(captions), batch)]
        return F.normalize(torch.cat([self.text(self.words(part)) for part in parts]), dim=1)


def fit(judge: Judge, batch: Callable[[int], tuple[Tensor, list[str]]], steps: int, rate: float) -> None:
    """Train on real pairs: `batch(t)` gives pictures and captions. Adam, the rate falling as a cosine."""
    from tqdm import tqdm

    optimizer = torch.optim.Adam(judge.parameters(), rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    judge.train()
    bf16 = probe.bf16_pays(judge, lambda: judge(*batch(0)))
    for t in (bar := tqdm(range(steps), unit=" steps")):
        pictures, captions = batch(t)
        with torch.autocast(pictures.device.type, torch.bfloat16, enabled=bf16):
            loss = judge(pictures, captions)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        bar.set_postfix_str(f"loss {loss.item():.3f}", refresh=False)
    judge.eval()


def save(judge: Judge, path: Path) -> None:
    facts = dict(vocabulary=json.dumps(judge.words.vocabulary), colours=str(judge.colours))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(judge.state_dict(), path, facts | {"width": str(judge.width), "sight": judge.sight})


def load(path: Path) -> Judge:
    """The inverse of `save`, in eval mode. Raises UserError where the file is no judge."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        widths, sight = (int(facts["colours"]), int(facts["width"])), facts.get("sight", "plain")
        judge = Judge(tuple(json.loads(facts["vocabulary"])), *widths, sight)
        judge.load_state_dict(tensors)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} is no judge ({str(error).splitlines()[0]}); train it again") from None
    return judge.eval()


def r_precision(
    judge: Judge, pictures: Tensor, captions: list[str], kinds: list[str] | None = None, seed: int = 0
) -> Score:
    """The share of pictures [N, C, H, W] whose own caption is nearer than 99 of other pictures.

    kinds: where given, the others are captions of pictures of any other kind than the picture's own.
    """
    seen, read = judge.see(pictures), judge.read(captions)
    generator, right = torch.Generator().manual_seed(seed), 0
    kinds = kinds or [str(i) for i in range(len(captions))]
    for i, kind in enumerate(kinds):
        others = torch.tensor([j for j, other in enumerate(kinds) if other != kind])
        if len(others) < OTHERS:
            raise ValueError(f"R-precision needs {OTHERS} captions of other pictures, not {len(others)}")
        chosen = others[torch.randperm(len(others), generator=generator)[:OTHERS]]
        right += bool(seen[i] @ read[i] > (read[chosen] @ seen[i]).max())
    protocol = f"R-precision, 1 true caption among {OTHERS} of other pictures"
    return Score(right / len(captions), "", protocol, len(captions))


def fidelity(
    reader: Reader, pictures: Tensor, named: list[dict[str, str]]
) -> tuple[dict[str, float], dict[str, int]]:
    """The share of named attributes that the pictures show, per attribute, and how many were named.

    named: for each picture the attributes of its caption, {"wing": "black", ...}.
    """
    answers = reader.read(pictures)
    shares, counts = {}, {}
    for name, values in reader.heads.items():
        rows = [i for i, attributes in enumerate(named) if name in attributes]
        if rows:
            right = [values[int(answers[name][i])] == named[i][name] for i in rows]
            shares[name], counts[name] = sum(right) / len(rows), len(rows)
    return shares, counts


def diversity(pictures: Tensor) -> Score:
    """Mean root mean square difference, in grey levels of 255, between pictures [captions, n, C, H, W] of
    one caption."""
    n = pictures.shape[1]
    flat = 127.5 * pictures.flatten(2)
    distances = torch.cdist(flat, flat) / flat.shape[2] ** 0.5
    mean = float(distances.sum() / (len(flat) * n * (n - 1)))
    return Score(mean, "", "mean RMS difference of two pictures of one caption, RGB", len(flat) * n)


def matching(folder: Path, pictures: Tensor | list[Tensor], captions: list[str]) -> float | None:
    """Mean of D(picture, caption) - D(picture, another's caption), from a run's newest state.

    None where there is no state, or no D. D as a probability where it is trained with cross entropy, as it is
    (hinge) otherwise.
    """
    states = checkpoint.states(folder)
    if not states:
        return None
    task_class, config, info, _ = checkpoint.read_config(folder)
    task = task_class(config, info)
    tensors, _ = checkpoint.read_state(states[-1][1])
    own = {k.removeprefix("task."): v for k, v in tensors.items() if k.startswith("task.")}
    absent = task.load_state_dict(own, strict=False).missing_keys
    task.eval()
    name = next((name for name in ("D", "D_2", "D_1") if hasattr(task, name)), None)
    if name is None or any(key.startswith(f"{name}.") for key in absent):
        return None
    D = getattr(task, name)
    side = (config.size, config.size)
    with torch.inference_mode():
        sentences = task.sentences(captions)
        parts = pictures.split(32) if isinstance(pictures, Tensor) else pictures
        seen = torch.cat([D(F.interpolate(x, side, mode="bilinear", antialias=True)) for x in parts])
        rated = [D.match(seen, e).flatten() for e in (sentences, sentences.roll(len(sentences) // 2, 0))]
    if task.log_odds:
        rated = [logits.sigmoid() for logits in rated]
    return float((rated[0] - rated[1]).mean())
