"""Does one number of the noise change one thing in the picture? The mutual information gap."""

import torch
from torch import Tensor

from translate.metrics import Score
from translate.metrics.reader import Reader

BINS = 20  # into which each number of the noise is sorted, as many pictures in each


def information(codes: Tensor, answers: Tensor, classes: int) -> Tensor:
    """Mutual information in nats of each binned code [N, D] (0 to BINS - 1) and answers [N]: [D]."""
    count = len(codes)
    one_hot = torch.nn.functional.one_hot(answers, classes).double()
    found = []
    for code in codes.T:
        joint = torch.nn.functional.one_hot(code, BINS).double().T @ one_hot / count
        apart = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
        found.append(torch.where(joint > 0, joint * (joint / apart.clamp(min=1e-12)).log(), 0).sum())
    return torch.stack(found)


def information_gap(noise: Tensor, pictures: Tensor, reader: Reader) -> Score:
    """Mean over attributes of (I₁ - I₂) / H, I₁ and I₂ the largest mutual informations of a number of the
    noise with the attribute that a reader sees, H its entropy (MIG, Chen et al. 2018, arXiv 1802.04942).

    noise [N, ...], pictures uint8 [N, 3, H, W] made of it. Attributes of which all pictures show one value
    are left out; with none left it is 0.
    """
    codes = (noise.flatten(1).argsort(0).argsort(0) * BINS // len(noise)).long()
    gaps = []
    for name, answers in reader.read(torch.cat([p.float() / 127.5 - 1 for p in pictures.split(64)])).items():
        shares = torch.bincount(answers, minlength=len(reader.heads[name])).double() / len(answers)
        entropy = -(shares[shares > 0] * shares[shares > 0].log()).sum()
        if entropy > 0 and codes.shape[1] > 1:
            first, second = information(codes, answers, len(reader.heads[name])).topk(2).values
            gaps.append(float((first - second) / entropy))
    value = sum(gaps) / len(gaps) if gaps else 0.0
    protocol = f"mutual information gap over {len(gaps)} attributes, {BINS} bins"
    return Score(value, "", protocol, len(noise))
