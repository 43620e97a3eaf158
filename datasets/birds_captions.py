"""Sentences about drawn birds in the manner of people, and back: which attributes a sentence names."""

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from datasets.birds import Bird

NOUNS = {
    "crown": ("crown", "cap", "crest"),
    "back": ("back", "upperparts", "nape"),
    "belly": ("belly", "breast", "underparts", "chest", "abdomen"),
    "wing": ("wings", "wing feathers", "wing", "secondaries", "primaries", "coverts"),
    "tail": ("tail", "tail feathers", "rectrices"),
    "beak": ("beak", "bill"),
}
USED = {part: 2 if part in ("crown", "wing", "tail", "beak") else 3 for part in NOUNS} | {"back": 1}
ADJECTIVES = {
    "beak_shape": {
        "short": ("short", "stubby"),
        "long": ("long",),
        "pointed": ("pointed", "pointy", "sharp"),
        "hooked": ("hooked", "curved"),
    },
    "wing_pattern": {
        "plain": ("plain", "solid"),
        "striped": ("striped", "barred", "stripes", "bars", "wingbars"),
        "spotted": ("spotted", "speckled", "spots"),
    },
    "size": {"small": ("small", "tiny", "little"), "medium": ("medium", "mid"), "large": ("large", "big")},
}
COLOURS = {  # people's words for the eleven; cream and ivory are nearest to white, tan and beige to brown
    "black": ("black", "dark", "jet"),
    "white": ("white", "cream", "creamy", "ivory"),
    "grey": ("grey", "gray", "silver", "ash"),
    "brown": ("brown", "tan", "beige", "rufous", "chestnut"),
    "red": ("red", "crimson", "scarlet", "maroon"),
    "orange": ("orange",),
    "yellow": ("yellow", "golden", "gold"),
    "green": ("green", "olive", "teal"),
    "blue": ("blue", "azure", "turquoise", "navy"),
    "purple": ("purple", "violet", "lavender"),
    "pink": ("pink", "rose"),
}
WHOLE = {"completely": ("crown", "back", "belly", "tail"), "mostly": ("crown", "back", "belly")}
WORDS = {
    **{word: ("colour", colour) for colour, words in COLOURS.items() for word in words},
    **{
        w: (kind, value)
        for kind, table in ADJECTIVES.items()
        for value, words in table.items()
        for w in words
    },
    **{phrase.split()[0]: ("part", part) for part, phrases in NOUNS.items() for phrase in phrases},
    "head": ("part", "crown"),
    **dict.fromkeys(("bird", "body", "plumage"), ("part", "bird")),
    **dict.fromkeys(("completely", "entirely", "all", "fully"), ("whole", "completely")),
    **dict.fromkeys(("mostly", "mainly"), ("whole", "mostly")),
}


def captions(bird: "Bird") -> list[str]:
    """Ten different true sentences, each naming some of the bird's attributes; the same ones every time."""
    rng = np.random.default_rng((1988, bird.index))
    made: list[str] = []
    while len(made) < 10:
        sentence = caption(bird, rng)
        if sentence not in made:
            made.append(sentence)
    return made


def caption(bird: "Bird", rng: np.random.Generator) -> str:
    def pick(options):
        return options[rng.integers(len(options))]

    def colour(part: str) -> str:
        value = getattr(bird, part)
        return "gray" if value == "grey" and rng.random() < 0.5 else value

    def phrase(part: str) -> str:
        noun, words = pick(NOUNS[part][: USED[part]]), [colour(part)]
        if part == "beak":
            shape = pick(ADJECTIVES["beak_shape"][bird.beak_shape])
            words = pick(([shape], [shape, *words], words))
        if part == "wing" and rng.random() < 0.6:
            pattern = pick(ADJECTIVES["wing_pattern"][bird.wing_pattern][:2])
            words = pick(([pattern], [pattern, *words]))
        text = " ".join([*words, noun])
        return text if noun.endswith("s") else a(text)  # wings, underparts, tail feathers

    size = pick(ADJECTIVES["size"][bird.size])
    sized = size if size not in ("medium", "mid") else size + pick((" sized", "-sized"))
    whole = [word for word, parts in WHOLE.items() if len({getattr(bird, part) for part in parts}) == 1]
    free = [part for part in NOUNS]
    if whole and rng.random() < 0.5:
        word = whole[0]
        free = [part for part in free if part not in WHOLE[word]]
        if rng.random() < 0.5 and word == "mostly":
            start = f"{a(f'{sized} {colour(WHOLE[word][0])} bird')} with"
        else:
            start = (
                f"this {pick(('', size + ' ')) if sized == size else ''}bird is {word} {colour('belly')} with"
            )
    else:
        start = pick(
            ("this bird has", "the bird has", f"{a(f'{sized} bird')} with", f"this {sized} bird has",
             f"this is {a(f'{sized} bird')} with", f"{a(f'{sized} bird')} that has")
        )  # fmt: skip
    named = [str(part) for part in rng.permutation(free)[: rng.integers(1, min(len(free), 3) + 1)]]
    phrases = [phrase(part) for part in named]
    listed = phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
    return f"{start} {listed}"


def a(text: str) -> str:
    return ("an " if text[0] in "aeiou" else "a ") + text


def attributes_in(text: str) -> dict[str, str]:
    """Which attributes a sentence names: {"wing": "black", "beak_shape": "short", "size": "small", ...}.

    Adjectives belong to the next part named, or, after "is" or "are", to the part before. "A yellow bird" and
    "mostly yellow" name crown, back and belly, "completely yellow" also the tail. Unknown words do no harm.
    """
    found: dict[str, str] = {}
    general: dict[str, str] = {}
    for clause in re.split(r"[.;!?]", text.lower()):
        waiting: list[tuple[str, str]] = []
        subject: str | None = None  # what stands before "is"
        last: str | None = None
        whole = "mostly"
        words = re.findall(r"[a-z]+", clause)
        for word, following in zip(words, [*words, ""][1:], strict=True):
            kind, value = WORDS.get(word, ("", word))
            if word in ("is", "are") and last:
                subject = last
            elif word in ("with", "has", "that", "which", "its"):
                subject = None
            elif kind == "whole":
                whole = value
            elif kind == "part":
                if value == "back" and last == "bird" and not waiting:
                    continue
                if word == "wing" and WORDS.get(following, ("",))[0] == "wing_pattern":
                    last = value
                    continue
                assign(value, waiting, found, general, "mostly")
                waiting, last, subject = [], value, None
            elif kind:
                if subject:
                    assign(subject, [(kind, value)], found, general, whole)
                elif kind == "wing_pattern" and word in ("bars", "stripes", "spots", "wingbars"):
                    found.setdefault(kind, value)
                    waiting = []
                else:
                    waiting.append((kind, value))
    return {**general, **found}


def assign(part: str, adjectives: list, found: dict, general: dict, whole: str) -> None:
    for kind, value in adjectives:
        if kind == "colour" and part == "bird":
            for each in WHOLE[whole]:
                general.setdefault(each, value)
        elif kind == "colour":
            found.setdefault(part, value)
        elif kind == "size" and part == "bird":
            found.setdefault("size", value)
        elif part == "beak" and (kind == "beak_shape" or (kind, value) == ("size", "small")):
            found.setdefault("beak_shape", value if kind == "beak_shape" else "short")
        elif kind == "wing_pattern" and part == "wing":
            found.setdefault("wing_pattern", value)
