"""Other words for a colour, so that a model of captions knows more of them than its captions use.

Names are those of paints, stones, plants and birds' descriptions in common use. A word that means two colours
to people (amber, coral) is listed with neither.
"""

import re

import torch

from datasets.base import randint

SHADES = {
    "red": ("crimson", "scarlet", "ruby", "carmine", "cherry"),
    "brown": ("chestnut", "russet", "auburn", "cinnamon", "chocolate", "mahogany", "rufous"),
    "orange": ("pumpkin", "apricot"),
    "yellow": ("golden", "lemon", "canary", "saffron", "mustard"),
    "green": ("emerald", "jade", "lime"),
    "blue": ("azure", "navy", "sapphire", "cerulean"),
    "purple": ("violet", "lavender", "plum"),
    "pink": ("rose", "fuchsia"),
    "black": ("ebony", "coal", "sooty"),
    "white": ("snowy", "pearl", "alabaster"),
    "gray": ("slate", "silver", "ash"),
    "grey": ("slate", "silver", "ash"),
    "tan": ("sandy", "beige", "buff"),
}
WORD = re.compile(rf"\b({'|'.join(SHADES)})\b")
SHARE = 0.12  # of the named colours that get another name


def renamed(caption: str, generator: torch.Generator) -> str:
    """The caption with some of its colours called by other names."""

    def other(found: re.Match) -> str:
        if float(torch.rand((), generator=generator)) >= SHARE:
            return found[0]
        shades = SHADES[found[0]]
        return shades[randint(len(shades), generator)]

    return WORD.sub(other, caption)
