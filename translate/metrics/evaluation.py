"""`python -m translate evaluate`: every score of a model with its protocol, beside perfection and nothing.

A measure takes pictures and the evidence and gives named scores. It is taken of the pictures made, of other
real ones (the floor: what a perfect model would score with so many pictures) and of a trivial model's.
"""

import dataclasses
import importlib.metadata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from models.common.features import teachers
from translate import metrics
from translate.config import UserError, nearest
from translate.metrics import (
    Score,
    captions,
    disentangled,
    enlarged,
    frechet,
    neighbours,
    pairwise,
    smoothness,
)
from translate.metrics.evidence import Evidence
from translate.metrics.features import FeatureNetwork, ReaderFeatures, fingerprint
from translate.metrics.reader import Reader

SHOWN = 400  # pictures whose distances to each other diversity takes
MOST = 2000  # training pictures that a large network looks at; more are compared as pixels
THUMB = 32  # pixels of those
LARGE = 1_000_000  # weights of a large network


@dataclass
class Judges:
    """Who judges: `net` sees sets of pictures; the others read what is in a picture."""

    net: FeatureNetwork | None = None  # None: for scores that need none
    seed: int = 0
    reader: Reader | None = None  # of what pictures show: attributes that captions name, styles
    named: Callable[[str], dict[str, str]] | None = None  # the attributes that a caption names
    matcher: captions.Judge | None = None  # of pictures and captions, for R-precision

    def reads(self, what: str) -> Reader:
        """The reader, or the one that `net` is made of. Raises UserError where there is none."""
        if self.reader is None and not isinstance(self.net, ReaderFeatures):
            raise UserError(f"{what} needs a reader of what the pictures show: --reader birds, FILE, ...")
        return self.reader or self.net.reader


@dataclass(frozen=True)
class Row:
    """A score as `scores.json` has it. better: "lower", "higher" or "" (neither)."""

    metric: str
    value: float
    unit: str
    better: str
    protocol: dict[str, Any]
    floor: float | None = None
    trivial: float | None = None
    trivial_is: str = ""
    remarks: list[str] = field(default_factory=list)


Pictures = Tensor | list[Tensor]  # a list where they differ in size
Measure = Callable[[Pictures, Evidence, Judges], dict[str, Score]]


def by_frechet(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    ours, theirs = e.features(pictures, j.net), e.features(e.real, j.net)
    return {f"fid[{j.net.name}]": frechet.frechet(ours, theirs, j.net.title)}


def by_kernel(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    ours, theirs = e.features(pictures, j.net), e.features(e.real, j.net)
    return {f"kid[{j.net.name}]": frechet.kernel(ours, theirs, j.net.title, j.seed)}


def by_slices(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    ours, theirs = e.features(pictures, j.net), e.features(e.real, j.net)
    return {f"mind[{j.net.name}]": frechet.sliced(ours, theirs, j.net.title, j.seed)}


def inception(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    with torch.inference_mode():
        logits = j.net.logits(e.features(pictures, j.net))
    splits = 10 if len(pictures) >= 50_000 else 1  # ten is the published protocol, of 50,000 pictures
    return {f"is[{j.net.name}]": frechet.inception_score(logits, j.net.title, splits, j.seed)}


def precision_recall(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    both = neighbours.precision_recall(e.features(pictures, j.net), e.features(e.real, j.net), j.net.title)
    return dict(zip((f"precision[{j.net.name}]", f"recall[{j.net.name}]"), both, strict=True))


def density_coverage(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    both = neighbours.density_coverage(e.features(pictures, j.net), e.features(e.real, j.net), j.net.title)
    return dict(zip((f"density[{j.net.name}]", f"coverage[{j.net.name}]"), both, strict=True))


def floats(pictures: Pictures) -> list[Tensor]:
    """uint8 [N, 3, H, W], or a list of [1, 3, H, W], to batches in [-1, 1]."""
    parts = pictures.split(32) if isinstance(pictures, Tensor) else pictures
    return [part.float() / 127.5 - 1 for part in parts]


def with_truth(name: str, score: Callable[..., Score], luma: bool = True) -> Measure:
    """A score of pictures and truths; of enlarged pictures on Y, with as many pixels cut as they grew.

    luma: False takes RGB of enlarged pictures, too.
    """

    def measure(pictures: Pictures, e: Evidence, j: Judges) -> dict[str, Score]:
        grown = e.task.enlarges if e.task.data == "lowres" else 1
        border, colours = (grown, "Y" if luma else "RGB") if grown > 1 else (0, "RGB")
        return {name: score(floats(pictures), floats(e.truths), border, colours)}

    return measure


def by_pixels(name: str, score: Callable[..., Score]) -> Measure:
    """A score of the pixels of pictures and truths."""
    return lambda pictures, e, j: {name: score(floats(pictures), floats(e.truths))}


def read_as(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    """The share that a reader takes for the other side: its head that knows the name of that side."""
    reader, side = j.reads("read-as"), e.task.sides(e.direction)[1]
    answer = e.task.info.names.get(side, side)
    head = next((head for head, answers in reader.heads.items() if answer in answers), None)
    if head is None:
        raise UserError(f"read-as: the reader knows no {answer!r}, which the other side is called")
    share = reader.share(torch.cat(floats(pictures)), head, answer)
    return {f"read as {answer}": Score(share, "", f"share read as {answer}", len(pictures))}


def multi_scale(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    return {"ms-ssim": pairwise.multi_scale_ssim(pictures, e.truths)}


def lpips(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    return {"lpips": pairwise.lpips(pictures, e.truths)}


def perceptual(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    return {f"perceptual[{j.net.name}]": pairwise.perceptual(pictures, e.truths, j.net)}


def segmentation(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    names = "pixel accuracy", "class accuracy", "mean IoU"
    return dict(zip(names, pairwise.segmentation(pictures, e.truths), strict=True))


def diversity(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    """Of pictures of one input where there are any (by several noises), else of all."""
    if e.alike is not None and pictures is e.made:
        inputs, n = e.alike.shape[:2]
        score = captions.diversity(torch.stack([x.float() / 127.5 - 1 for x in e.alike]))
        what = f"mean RMS difference of {n} pictures of one input, {inputs} inputs, RGB, grey levels"
        return {"diversity": dataclasses.replace(score, protocol=what)}
    few = pictures[:SHOWN].float()[None] / 127.5 - 1
    what = f"mean RMS difference of two of {few.shape[1]} pictures, RGB, grey levels"
    return {"diversity": Score(captions.diversity(few).value, "", what, few.shape[1])}


def memorisation(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    """Through the network; as pixels where the training pictures are too many for a large one."""
    large = sum(p.numel() for p in j.net.parameters()) > LARGE and len(e.train) > MOST
    name = "pixels" if large else j.net.name
    title = f"pictures made {THUMB} px small, RGB" if large else j.net.title

    def seen(x: Tensor | None) -> Tensor | None:
        if x is None:
            return None
        return thumbs(x) if large else e.features(x, j.net)

    found = neighbours.memorised(seen(pictures), seen(e.train), seen(e.held_out), title)
    nearest = "; ".join(f"{made} is training picture {train}" for made, train in found.copies[:3])
    ratio = f"median distance to training pictures over that of held-out ones, {title}"
    return {
        f"memorised[{name}]": dataclasses.replace(found.score, note=nearest and f"nearest: {nearest}"),
        f"memorised ratio[{name}]": Score(found.ratio, "", ratio, len(pictures)),
    }


def thumbs(pictures: Tensor) -> Tensor:
    """uint8 [N, 3, H, W] to float [N, 3 x 32 x 32]."""
    parts = [
        torch.nn.functional.interpolate(p.float(), (THUMB, THUMB), mode="area") for p in pictures.split(256)
    ]
    return torch.cat(parts).flatten(1)


def path_length(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    noise = e.noise[: len(e.noise) // 2 * 2]
    return {f"path length[{j.net.name}]": smoothness.path_length(e.generate, noise, j.net, seed=j.seed)}


def disentanglement(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    found = disentangled.information_gap(e.noise, pictures, j.reads("disentanglement"))
    return {"disentanglement": found}


def fidelity(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    if j.named is None:
        raise UserError("caption-fidelity needs a reader of what captions name; there is one for birds")
    named = [j.named(caption) for caption in e.captions[: len(pictures)]]
    shares, counts = captions.fidelity(j.reads("caption-fidelity"), torch.cat(floats(pictures)), named)
    mean = sum(shares[k] * counts[k] for k in shares) / max(1, sum(counts.values()))
    protocol = f"share of named attributes that a reader sees; {sum(counts.values())} named"
    each = {f"caption fidelity, {k}": Score(v, "", protocol, counts[k]) for k, v in shares.items()}
    return {"caption fidelity": Score(mean, "", protocol, len(named))} | each


def r_precision(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    if j.matcher is None:
        raise UserError(
            "r-precision needs a judge of pictures and captions, --judge FILE; "
            "`python -m benchmarks.captions --models MODEL --judge FILE` trains one"
        )
    texts, kinds = e.captions[: len(pictures)], e.kinds[: len(pictures)]
    least = len(kinds) - max(Counter(kinds).values())
    if least < captions.OTHERS:
        raise UserError(
            f"r-precision needs {captions.OTHERS} captions of other pictures beside each, not {least}; "
            "raise --count, or give --data with more"
        )
    return {"R-precision": captions.r_precision(j.matcher, torch.cat(floats(pictures)), texts, kinds, j.seed)}


@dataclass(frozen=True)
class Metric:
    """needs: what the evidence must have; judge: who of `Judges` looks at the pictures, or nobody; floor: the
    real pictures of the evidence that show what a perfect model would score, "" where none do."""

    measure: Measure
    better: str
    needs: tuple[str, ...] = ()
    judge: Literal["net", "reader", "matcher", ""] = "net"
    floor: Literal["floor", "held_out", "shown", ""] = "floor"
    trivial: bool = True
    usual: bool = True  # taken where none are named
    ours: bool = False  # else torchmetrics computes it


PAIRS = dict(needs=("truths",), judge="", floor="")  # scores against the very picture it should be
METRICS: dict[str, Metric] = {
    "fid": Metric(by_frechet, "lower"),
    "kid": Metric(by_kernel, "lower"),
    "mind": Metric(by_slices, "lower", ours=True),
    "is": Metric(inception, "higher", usual=False),
    "precision-recall": Metric(precision_recall, "higher", ours=True),
    "density-coverage": Metric(density_coverage, "higher", ours=True, usual=False),
    "psnr": Metric(with_truth("psnr", enlarged.psnr), "higher", **PAIRS),
    "psnr-rgb": Metric(with_truth("psnr rgb", enlarged.psnr, luma=False), "higher", **PAIRS, usual=False),
    "pooled-psnr": Metric(by_pixels("pooled psnr", metrics.psnr), "higher", **PAIRS, usual=False),
    "ssim": Metric(with_truth("ssim", enlarged.ssim), "higher", **PAIRS),
    "ms-ssim": Metric(multi_scale, "higher", **PAIRS),
    "mae": Metric(by_pixels("mae", metrics.mae), "lower", **PAIRS, usual=False),
    "sharpness": Metric(by_pixels("sharpness", metrics.sharpness), "", **PAIRS, ours=True, usual=False),
    "lpips": Metric(lpips, "lower", **PAIRS, usual=False),
    "perceptual": Metric(perceptual, "lower", **PAIRS | {"judge": "net"}, ours=True, usual=False),
    "segmentation": Metric(segmentation, "higher", **PAIRS, usual=False),
    "read-as": Metric(read_as, "higher", judge="reader", ours=True, usual=False),
    "diversity": Metric(diversity, "", ("noise",), "", ours=True),
    "memorisation": Metric(
        memorisation, "lower", ("noise",), ours=True, floor="held_out", trivial=False
    ),
    "path-length": Metric(path_length, "lower", ("noise",), ours=True, floor="", trivial=False),
    "disentanglement": Metric(
        disentanglement, "higher", ("noise",), "reader", ours=True, floor="", trivial=False, usual=False,
    ),
    "caption-fidelity": Metric(
        fidelity, "higher", ("captions",), "reader", ours=True, floor="shown", usual=False
    ),
    "r-precision": Metric(
        r_precision, "higher", ("captions",), "matcher", ours=True, floor="shown", usual=False
    ),
}  # fmt: skip
NEEDS = {
    "truths": "pictures that it should have made: paired or lowres data",
    "noise": "a model that draws from noise",
    "captions": "a model of captions",
}


def metric_names(names: str) -> list[str]:
    """The metrics of `fid,kid,...`. Raises UserError for a name that is none."""
    found = [name.strip() for name in names.split(",") if name.strip()]
    for name in found:
        if name not in METRICS:
            hint = nearest(name, list(METRICS)) or ";"
            raise UserError(f"there is no metric {name!r}{hint} there are {', '.join(METRICS)}")
    return found


def chosen(names: str, e: Evidence, j: Judges) -> list[str]:
    """The metrics of `fid,kid,...`; of "" the usual ones, and disentanglement where somebody reads what
    pictures show. Raises UserError for a name that is none, or what cannot be taken here."""
    if not names:
        reads = j.reader is not None or isinstance(j.net, ReaderFeatures)
        usual = [name for name, m in METRICS.items() if m.usual or (name == "disentanglement" and reads)]
        return [name for name in usual if all(has(e, need) for need in METRICS[name].needs)]
    found = metric_names(names)
    for name in found:
        if lacking := next((n for n in METRICS[name].needs if not has(e, n)), None):
            raise UserError(f"{name} needs {NEEDS[lacking]}; leave it out")
    return found


def has(e: Evidence, what: str) -> bool:
    found = getattr(e, what)
    return bool(found) if isinstance(found, list) else found is not None


def judge_of(metric: Metric, j: Judges) -> tuple[str, str]:
    """Name and fingerprint of who looked at the pictures, and how they were resized."""
    match metric.judge:
        case "net":
            return f"{j.net.name} {j.net.fingerprint}", j.net.resize
        case "reader":
            reader = j.reads("the metric")
            return f"reader {fingerprint(reader)}", f"bilinear, antialiased, to {reader.size} px"
        case "matcher":
            return f"judge of captions {fingerprint(j.matcher)}", "as the judge was trained"
    return "none", "none"


def protocol(name: str, score: Score, e: Evidence, j: Judges) -> dict[str, Any]:
    """All that must be equal where two values of a metric are compared."""
    metric = METRICS[name]
    version = importlib.metadata.version("torchmetrics")
    network, resize = judge_of(metric, j)
    return {
        "measure": score.protocol,
        "implementation": "translate.metrics" if metric.ours else f"torchmetrics {version}",
        "network": network,
        "resize": resize,
        "colours": "RGB, 8 bits",
        "size": "x".join(map(str, e.made.shape[-2:])) if isinstance(e.made, Tensor) else "each its own",
        "made": len(e.made),
        "real": len(e.real),
        "reference": e.reference,
        "split": e.split,
        "direction": e.direction,
        "seed": j.seed,
    }


def scores(pictures: Pictures, e: Evidence, j: Judges, names: list[str]) -> dict[str, Score]:
    """These metrics of any pictures, with the evidence beside them: [N, 3, H, W], uint8."""
    return {label: s for name in names for label, s in METRICS[name].measure(pictures, e, j).items()}


def evaluate(e: Evidence, j: Judges, names: list[str]) -> list[Row]:
    """One row for each score of each metric. Raises UserError for what cannot be had."""
    rows = []
    learned_from = teachers(e.task.config)
    for name in names:
        metric, shuffled = METRICS[name], "captions" in METRICS[name].needs
        values = metric.measure(e.made, e, j)
        perfect = getattr(e, metric.floor) if metric.floor else None
        if perfect is not None and len(perfect) > len(e.made):
            perfect = perfect[: len(e.made)]
        floor = {} if perfect is None else metric.measure(perfect, e, j)
        # Shuffled by half of them: neighbours may be of one class.
        trivial_of = e.made.roll(len(e.made) // 2, 0) if shuffled else e.trivial
        trivial = metric.measure(trivial_of, e, j) if metric.trivial else {}
        remarks = []
        if metric.judge == "net" and j.net.family in learned_from:
            remarks.append(f"{j.net.name} taught this model: no independent judge")
        if floor and len(perfect) < len(e.made):
            remarks.append(f"the floor is of {len(perfect)} pictures")
        for label, score in values.items():
            rows.append(
                Row(
                    label, score.value, score.unit, metric.better, protocol(name, score, e, j),
                    floor[label].value if label in floor else None,
                    trivial[label].value if label in trivial else None,
                    ("captions shuffled" if shuffled else e.trivial_is) if trivial else "",
                    remarks + [score.note] * bool(score.note),
                )
            )  # fmt: skip
    return rows
