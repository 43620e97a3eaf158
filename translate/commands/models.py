"""python -m translate models."""

from translate.inference import catalog


def models() -> None:
    """List the models: shipped ones and finished or running trainings."""
    found = catalog.entries()
    if not found:
        print(f"no models in {' or '.join(map(str, catalog.roots()))}; train one: python train.py --help")
        return
    wide = max(len(entry.name) for entry in found)
    for entry in found:
        origin = "shipped" if entry.folder.parent == catalog.HERE / "pretrained" else "run"
        size = f"{entry.size} px" if entry.size else ""
        facts = f"{entry.method:9} {size:>7} {entry.steps:>8,} steps  {origin:7}"
        print(f"{entry.name:{wide}}  {facts}  {entry.description}")
