"""Who wrote the captions of birds: `sources.json`, picture -> {"captions": KIND, "box": [x, y, w, h]}.

KIND is `human`, `gpt4-matched` (by a language model, those that fit the picture best, then those of its
species) or `class-attr` (of the species' usual attributes alone, wrong for many females). People's count
twice.
"""

import json

from datasets.base import DataError
from datasets.texts import Pictures, texts_at

TABLE = "sources.json"
TIMES = {"human": 2, "gpt4-matched": 1, "class-attr": 1}  # a picture in an epoch
MATCHED = 3  # times that a caption of the picture is taken for once that one of its species is


def sources(paths: list[str], path: str) -> list[str]:
    """The kind of each picture's captions; [] where no table tells. Raises DataError for a damaged one."""
    for texts in texts_at(path):
        text = texts.named(TABLE)
        if text is not None:
            try:
                rows = {str(name): str(facts["captions"]) for name, facts in json.loads(text).items()}
            except (ValueError, TypeError, KeyError, AttributeError):
                raise DataError(
                    f'{TABLE} in {texts.root} should hold {{"PICTURE": {{"captions": "human"}}, ...}}'
                ) from None
            pictures = Pictures(paths)
            kinds = {pictures.find(name): kind for name, kind in rows.items()}
            return [kinds.get(number, "") for number in range(len(paths))]
    return []


def weighted(captions: list[list[str]], kinds: list[str]) -> list[list[str]]:
    """The captions of each picture, those that fit it MATCHED times where others are of its species."""
    species = {
        text for each, kind in zip(captions, kinds, strict=True) if kind == "class-attr" for text in each
    }
    found = []
    for each, kind in zip(captions, kinds, strict=True):
        own = [text for text in each if text not in species] if kind == "gpt4-matched" else []
        found.append(own * (MATCHED - 1) + each)
    return found


def places(kinds: list[str]) -> list[int]:
    """The pictures of an epoch, each as often as its captions are worth."""
    return [number for number, kind in enumerate(kinds) for _ in range(TIMES.get(kind, 1))]
