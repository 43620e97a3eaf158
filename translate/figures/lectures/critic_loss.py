"""A critic's loss falls as samples get better; those of the standard game do not.

Arjovsky et al. 2017 (arXiv 1701.07875), figures 3 and 4, on digits: the games of `without_batch_norm` by one
step size. Numbers: rank correlations over the training of losses with the distance of samples to the data, in
the features of a reader of digits. The critic's estimate is minus the loss that it descends.
"""

from translate.figures.lecture import Drawn, Work
from translate.figures.lectures.without_batch_norm import looks
from translate.figures.plots import DATA, MADE, RED, sheet, spearman, titled


def draw(work: Work) -> Drawn:
    figure, panels = sheet(2, wide=3.8)
    numbers: dict[str, float] = {}
    for panel, name in zip(panels, ("Wasserstein", "standard"), strict=True):
        found = looks(name, work)
        at, apart = [look.turns for look in found], [look.apart for look in found]
        losses = {f"loss of {which}": [look.losses[which] for look in found] for which in ("D", "G")}
        if name == "Wasserstein":
            losses = {"critic's estimate": [-value for value in losses["loss of D"]]}
        for (label, values), colour in zip(losses.items(), (DATA, MADE), strict=False):
            panel.plot(at, values, color=colour, label=label)
            numbers[f"rank correlation with the distance, {name}, {label}"] = spearman(values, apart)
        panel.set_ylim(0, 1.5 * max(sum(losses.values(), [])))  # room for the legend
        beside = panel.twinx()
        beside.plot(at, apart, color=RED, ls="--", label="distance of samples (right)")
        low, high = min(apart), max(apart)
        beside.set_ylim(low - 0.2 * (high - low), low + 1.6 * (high - low))
        beside.tick_params(labelsize=7)
        beside.spines["top"].set_visible(False)
        lines = [*panel.get_lines(), *beside.get_lines()]
        titled(panel, name, "turns of G")
        panel.legend(lines, [line.get_label() for line in lines], fontsize=7, frameon=False)
    return Drawn(figure, numbers)
