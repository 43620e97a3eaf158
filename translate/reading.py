"""What a model that draws captions says of one: `task.reading(caption)`."""

from dataclasses import dataclass

LONGEST = 10_000  # characters looked at


def beginning(text: str, most: int = LONGEST) -> str:
    """The text, or as many of its whole words as fit into `most` characters; one endless word is cut."""
    if len(text) <= most:
        return text
    whole = text[: most + 1].rstrip()
    return whole if len(whole) <= most else "".join(whole.rsplit(maxsplit=1)[:-1]) or text[:most]


@dataclass(frozen=True)
class Reading:
    """What was understood of a text."""

    pieces: list[int]  # numbers of the vocabulary, as many as the model reads
    known: list[str]  # words of the vocabulary, of those that were read whole
    unknown: list[str]  # words that are not, spelt with letters or left out
    cut: bool  # whether the end was left out

    @property
    def note(self) -> str:
        """A sentence for the user; empty where everything was understood."""
        parts = []
        if self.unknown:
            share = len(self.unknown) / (len(self.known) + len(self.unknown))
            different = list(dict.fromkeys(self.unknown))
            shown = ", ".join(word[:20] for word in different[:5]) + (", ..." if len(different) > 5 else "")
            parts.append(f"{share:.0%} of the words are not known to the model ({shown})")
        if not self.known and not self.unknown:
            parts.append("the text has no words, so the picture may show anything")
        if self.cut:
            parts.append(f"only the beginning was read, {len(self.pieces)} pieces of words")
        return "; ".join(parts)
