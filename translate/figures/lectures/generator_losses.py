"""Three losses of G against D(G(z)): where D is sure, only log(1 - D) leaves G without a slope.

Goodfellow 2016 (arXiv 1701.00160), figure 16. With the logit s = logit D(G(z)): minimax log(1 - σ(s)),
non-saturating -log σ(s), and maximum likelihood -exp(s), which is KL(data ‖ model) where D is the best one.
"""

import torch

from models.common import objectives
from translate.figures.lecture import Drawn, Work
from translate.figures.plots import DATA, JUDGE, MADE, sheet, titled


def draw(work: Work) -> Drawn:
    D = torch.linspace(0.002, 0.998, work.of(400, 50))
    s = torch.logit(D)
    losses = {
        "minimax: log(1 - D)": lambda s: objectives.game("minimax").fool(lambda x: x, s, s),
        "non-saturating: -log D": lambda s: objectives.game("non-saturating").fool(lambda x: x, s, s),
        "maximum likelihood: -D/(1 - D)": lambda s: -s.exp(),
    }
    figure, (values, slopes) = sheet(2, wide=3.4)
    numbers = {}
    for (name, loss), colour in zip(losses.items(), (DATA, MADE, JUDGE), strict=True):
        at = s.clone().requires_grad_()
        each = torch.stack([loss(one) for one in at])
        (slope,) = torch.autograd.grad(each.sum(), at)
        values.plot(D, each.detach(), color=colour, label=name)
        slopes.plot(D, slope.abs(), color=colour)
        low = torch.logit(torch.tensor(0.01)).requires_grad_()
        numbers[f"slope where D(G(z)) = 0.01, {name.partition(':')[0]}"] = abs(
            float(torch.autograd.grad(loss(low), low)[0])
        )
    values.set_ylim(-10, 7)
    slopes.set_ylim(0, 2)
    titled(values, "loss of G", "D(G(z))", legend=True)
    titled(slopes, "its slope by D's logit", "D(G(z))")
    return Drawn(figure, numbers)
