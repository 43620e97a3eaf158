"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) and Adam as one optimizer of one network."""

import torch
from torch import nn


class Muon(torch.optim.Optimizer):
    """`matrices` move by Muon, every other one of `parameters` by Adam.

    Muon makes the singular values of a matrix's step alike: directions that gradients seldom take are learned
    too. It is for hidden layers; embeddings, heads, norms and biases stay with Adam.

    lr, rate: Adam's and Muon's; the singular values of a step are about `rate`, times the square root of rows
    over columns where rows are more. Raises ValueError where one of `matrices` has not 2 dimensions.
    """

    def __init__(
        self, parameters: list[nn.Parameter], matrices: list[nn.Parameter], lr: float, rate: float = 0.02
    ):
        apart = set(map(id, matrices))
        rest = [p for p in parameters if id(p) not in apart]
        self.parts = [torch.optim.Adam(rest, lr, fused=True)]
        if matrices:
            self.parts.append(torch.optim.Muon(matrices, rate, weight_decay=0.0))
        super().__init__([part.param_groups[0] for part in self.parts], {})

    def step(self) -> None:
        """One step of both. Loading a state makes new groups, so each part is given its own anew."""
        for part, group in zip(self.parts, self.param_groups, strict=True):
            part.param_groups, part.state = [group], self.state
            part.step()
