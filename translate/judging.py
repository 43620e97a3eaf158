"""Commands that need data as well as models: python -m translate evaluate, doctor. Torch comes late."""

import sys
from pathlib import Path
from typing import Literal

from translate.config import UserError


def evaluate(
    *,
    model: tuple[str, ...],
    data: str | None = None,
    metrics: str = "",
    features: str = "auto",
    count: int = 1000,
    split: Literal["test", "train"] = "test",
    direction: Literal["AtoB", "BtoA"] | None = None,
    seed: int = 0,
    judge: str | None = None,
    beside: tuple[str, ...] = (),
    output: str | None = None,
    card: bool = True,
    device: str = "cpu",
) -> None:
    """Score models: scores.json, a table, the card; each score beside that of real and of trivial pictures.

    Args:
        model: names, folders or Hub ids; several are compared in one table
        data: what to score them on; default the data each was trained on
        metrics: fid,kid,mind,is,precision-recall,density-coverage,psnr,ssim,ms-ssim,lpips,perceptual,
            diversity,memorisation,path-length,disentanglement,caption-fidelity,r-precision;
            default what suits the model
        features: the network that judges: efficientnet-lite2, efficientnet-lite0, mobilenet-v2,
            inception[:FILE], torchvision:NAME, timm:NAME, clip:ID, or one trained here (lenet-mnist, ...)
        count: pictures to make; a translator makes one of each input, at most so many
        split: the part of the data that is the reference; the other part is the floor
        direction: of models that translate both ways; default both
        seed: of noise and subsets
        judge: a judge of captions, for r-precision
        beside: scores taken earlier (scores.json, or models that have one), for the same table
        output: where scores.json goes; default the model's folder
        card: write the table on the model's card (README.md) too
        device: cpu, cuda, ...
    """
    if count < 2:
        raise UserError(f"--count {count} is too small; the least is 2")

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

            def told(done: int, of: int, bar=bar) -> None:
                bar.total, bar.n = of, done
                bar.refresh()

            folder, scores = command.scored(
                one, datasets.load, datasets.options_of, data=data, names=metrics, network=features,
                count=count, split=split, direction=direction, seed=seed, judge=judge, named=named,
                device=device, progress=told,
            )  # fmt: skip
        target = Path(output) / scores.model if output and len(model) > 1 else Path(output or folder)
        print(record.write(scores, target))
        if card:
            record.on_card(scores, target)
        found.append(scores)
    together = [*found, *earlier]
    print(record.table(found[0]) if len(together) == 1 else record.comparison(together))
    for scores in found:
        print(f"\n{scores.model}\n{record.report(scores)}")


def doctor(run, *, silence: tuple[str, ...] = (), data: str | None = None) -> None:
    """Say what went wrong in a training: alarms written down, what its losses show, what its pictures show.

    Args:
        run: the training's folder (its --output)
        silence: names of alarms not to speak of
        data: what it was trained on, where that has moved
    """
    from translate import doctor as doctors
    from translate.doctor import Alarm
    from translate.symptoms import NAMES

    doctors.check_names(silence)
    folder = Path(run)
    found = [*doctors.alarms(folder), *doctors.past(folder)]
    looked = "its losses and gradient norms"
    try:
        found += pictured(folder, data)
        looked += ", and pictures it makes now"
    except UserError as error:
        print(f"note: its pictures were not looked at: {error}", file=sys.stderr)
    first: dict[str, Alarm] = {}
    for alarm in sorted(found, key=lambda alarm: alarm.step):
        first.setdefault(alarm.name, alarm)
    shown = [alarm for name, alarm in first.items() if name not in silence]
    for alarm in shown:
        print(alarm)
    if not shown:
        print(f"{folder}: nothing to worry about in {looked} ({len(NAMES)} signs looked for)")


def pictured(folder: Path, data: str | None) -> list:
    """What pictures of a run's newest weights show. Raises UserError where model or data cannot be had."""
    import datasets
    from translate.doctor import Doctor
    from translate.metrics.command import plain
    from translate.training import checkpoint
    from translate.vitals import Vitals

    task = checkpoint.read_model(folder)
    steps, where = checkpoint.read_config(folder)[3].get("steps", 0), plain(datasets.options_of(task.config))
    place = data or task.config.data
    parts = (
        datasets.load(task.data, place, size=task.config.size, split=part, **where)
        for part in ("train", "test")
    )
    seen = Doctor(task, *parts)
    vitals = [Vitals(steps, samples=seen.sampled(task)) for _ in range(2)]  # signs of samples want two looks
    return [alarm for v in vitals for alarm in seen.examine(v)]


def observers(task, data, held_out) -> list:
    """Who watches a training beside the previews, as its settings say. Raises UserError."""
    import datasets
    from translate.doctor import Doctor
    from translate.metrics.command import plain

    config, found = task.config, []
    if config.doctor:
        found.append(Doctor(task, data, held_out, config.silence))
    if config.eval_every:
        from translate.metrics.during import Evaluation

        where = dict(size=config.size, **plain(datasets.options_of(config)))
        parts = (datasets.load(task.data, config.data, split=part, **where) for part in ("train", "test"))
        found.append(Evaluation(task, *parts, config))
    return found
