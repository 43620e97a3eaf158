"""A slider for each style of a model that has several: how much of each is in the mixture."""

import gradio as gr

from translate.config import UserError
from translate.inference.catalog import Entry
from translate.ui.shelf import method
from translate.ui.words import W

MOST = 8  # styles with a slider


def styles(entry: Entry | None) -> list[str]:
    """Those of a model whose styles mix, as `--label` calls them."""
    if entry is None or not method(entry.task).mixes:
        return []
    return entry.facts.get("info", {}).get("classes", [])[:MOST]


def mixture(entry: Entry, shares: tuple[float | None, ...]) -> str | None:
    """The shares, in per cent, as `scream:70+wave:30`; None of models with one style. Raises UserError."""
    given = [(name, share) for name, share in zip(styles(entry), shares, strict=False) if share]
    if styles(entry) and not given:
        raise UserError(W.mixing.give_a_share)
    return "+".join(f"{name}:{share:g}" for name, share in given) or None


def described(label: str | None) -> str:
    """The mixture for people: `70 % scream, 30 % wave`, however much the sliders add up to."""
    parts = [part.rpartition(":") for part in (label or "").split("+") if part]
    total = sum(float(share) for _, _, share in parts)
    return ", ".join(
        W.mixing.part_of_mixture.format(share=float(share) / total, name=name.replace("_", " "))
        for name, _, share in parts
    )


def sliders() -> list[gr.Slider]:
    return [
        gr.Slider(
            0,
            100,
            0,
            step=5,
            label=W.mixing.numbered_style.format(number=i + 1),
            elem_id=f"mix-{i + 1}",
            visible=False,
        )
        for i in range(MOST)
    ]


def shown(entry: Entry | None) -> list:
    """What the sliders become for a model: the first style alone, until they are moved."""
    names = styles(entry)
    return [
        gr.update(
            label=W.mixing.named_style.format(name=names[i].replace("_", " ")),
            value=100 * (i == 0),
            visible=True,
        )
        if i < len(names)
        else gr.update(value=0, visible=False)
        for i in range(MOST)
    ]
