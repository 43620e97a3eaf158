"""What a caption says about things that a built-in data set can draw: `attributes_of("birds", caption)`."""


def attributes_of(name: str, caption: str) -> list[tuple[str, str, tuple[int, int, int] | None]]:
    """(what, value, its colour as 0..255 or None) of each; empty for data whose captions are free words."""
    if name != "birds":
        return []
    from datasets.birds import PALETTE, attributes_in

    found = []
    for what, value in attributes_in(caption).items():
        colour = PALETTE.get(value)
        rgb = None if colour is None else tuple(int(part) for part in colour)
        found.append((what.replace("_", " "), value, rgb))
    return found
