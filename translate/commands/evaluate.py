"""python -m translate evaluate."""

from pathlib import Path
from typing import Literal

from translate.commands import at_least


def evaluate(
    *,
    model: tuple[str, ...],
    data: str | None = None,
    kind: Literal["paired", "unpaired", "lowres", "images", "captions", "labels"] | None = None,
    a: str | None = None,
    b: str | None = None,
    metrics: str = "",
    features: str = "auto",
    count: int = 1000,
    size: int | None = None,
    split: Literal["test", "train"] = "test",
    direction: Literal["AtoB", "BtoA"] | None = None,
    seed: int = 0,
    judge: str | None = None,
    reader: str | None = None,
    beside: tuple[str, ...] = (),
    output: str | None = None,
    card: bool = True,
    device: str = "cpu",
) -> None:
    """Score models: scores.json, a table, the card; each score beside that of real and of trivial pictures.

    Args:
        model: names, folders or Hub ids; several are compared in one table
        data: what to score them on; default the data each was trained on
        kind: how the data is looked at; default as the model learned: `paired` holds one that learned
            without pairs against them
        a: the place of one side, instead of data, of models that take pictures
        b: of the other side
        metrics: fid,kid,mind,is,precision-recall,density-coverage,psnr,psnr-rgb,pooled-psnr,ssim,ms-ssim,mae,
            sharpness,lpips,perceptual,segmentation,read-as,diversity,memorisation,path-length,disentanglement,
            caption-fidelity,r-precision; default what suits the model
        features: the network that judges: efficientnet-lite2, efficientnet-lite0, mobilenet-v2,
            inception[:FILE], torchvision:NAME, timm:NAME, clip:ID, or one trained here (lenet-mnist, ...)
        count: pictures to make; a translator makes one of each input, at most so many
        size: pixels that pictures are scaled to, of models that take pictures; default as trained
        split: the part of the data that is the reference; the other part is the floor
        direction: of models that translate both ways; default both
        seed: of noise and subsets
        judge: a judge of captions, for r-precision
        reader: who reads what pictures show, for read-as, disentanglement, caption-fidelity: emoji-style, ...
            or a file of `benchmarks.readers`
        beside: scores taken earlier (scores.json, or models that have one), for the same table
        output: where scores.json goes; default the model's folder
        card: write the table on the model's card (README.md) too
        device: cpu, cuda, ...
    """
    at_least(2, count=count)

    from translate import machine

    machine.tune()
    from tqdm import tqdm

    import datasets
    from translate.metrics import command, record

    named = None
    if (data or "birds").partition(":")[0] == "birds":
        from datasets.birds import attributes_in as named
    earlier, found = command.beside(list(beside)), []
    for one in model:
        with tqdm(total=1, unit="picture", disable=None, desc=one) as bar:

            def show(done: int, of: int, bar=bar) -> None:
                bar.total, bar.n = of, done
                bar.refresh()

            folder, scores = command.scored(
                one, datasets.load, datasets.options_of, data=data, kind=kind, sides=(a, b), names=metrics,
                network=features, count=count, size=size, split=split, direction=direction, seed=seed,
                judge=judge, reader=reader, named=named, device=device, progress=show,
            )  # fmt: skip
        target = Path(output) / scores.model if output and len(model) > 1 else Path(output or folder)
        print(record.write(scores, target))
        if card:
            record.on_card(scores, target)
        found.append(scores)
    compared = [*found, *earlier]
    print(record.table(found[0]) if len(compared) == 1 else record.comparison(compared))
    for scores in found:
        print(f"\n{scores.model}\n{record.report(scores)}")
