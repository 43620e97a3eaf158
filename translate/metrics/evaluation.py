"""`python -m translate evaluate`: every score of a model with its protocol, beside perfection and nothing.

A measure takes pictures and the evidence and gives named scores. It is taken of the pictures made, of other
real ones (the floor: what a perfect model would score with so many pictures) and of a trivial model's.
"""

import dataclasses
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from models.common.features import teachers
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
from translate.metrics.features import FeatureNetwork, ReaderFeatures
from translate.metrics.reader import Reader

SHOWN = 400  # pictures whose distances to each other diversity takes
MOST = 2000  # training pictures that a large network looks at; more are compared as pixels
THUMB = 32  # pixels of those
LARGE = 1_000_000  # weights of a large network


@dataclass
class Judges:
    """Who judges: `net` sees sets of pictures; the others read what is in a picture."""

    net: FeatureNetwork
    seed: int = 0
    reader: Reader | None = None  # of the attributes that captions name
    named: Callable[[str], dict[str, str]] | None = None  # the attributes that a caption names
    matcher: captions.Judge | None = None  # of pictures and captions, for R-precision


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


Measure = Callable[[Tensor, Evidence, Judges], dict[str, Score]]


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


def floats(pictures: Tensor) -> list[Tensor]:
    """uint8 [N, 3, H, W] to batches in [-1, 1]."""
    return [part.float() / 127.5 - 1 for part in pictures.split(32)]


def with_truth(score: Callable[..., Score]) -> Measure:
    """A score of pictures and truths; of enlarged pictures on Y, with as many pixels cut as they grew."""

    def measure(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
        grown = e.task.enlarges if e.task.data == "lowres" else 1
        border, colours = (grown, "Y") if grown > 1 else (0, "RGB")
        return {score.__name__: score(floats(pictures), floats(e.truths), border, colours)}

    return measure


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
        n = e.alike.shape[1]
        score = captions.diversity(torch.stack([x.float() / 127.5 - 1 for x in e.alike]))
        return {
            "diversity": Score(score.value, "", f"mean RMS difference of {n} pictures of one input, RGB", n)
        }
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
    reader = j.reader or (j.net.reader if isinstance(j.net, ReaderFeatures) else None)
    if reader is None:
        raise UserError("disentanglement needs a reader of the data's attributes: --features birds, ...")
    return {"disentanglement": disentangled.information_gap(e.noise, pictures, reader)}


def fidelity(pictures: Tensor, e: Evidence, j: Judges) -> dict[str, Score]:
    if j.reader is None or j.named is None:
        raise UserError("caption-fidelity needs a reader of what captions name; there is one for birds")
    named = [j.named(caption) for caption in e.captions[: len(pictures)]]
    shares, counts = captions.fidelity(j.reader, torch.cat(floats(pictures)), named)
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
    others = captions.OTHERS + 1
    if len(set(e.kinds)) < others:
        raise UserError(f"r-precision needs captions of {others} different pictures, not {len(set(e.kinds))}")
    texts, kinds = e.captions[: len(pictures)], e.kinds[: len(pictures)]
    return {"R-precision": captions.r_precision(j.matcher, torch.cat(floats(pictures)), texts, kinds, j.seed)}


@dataclass(frozen=True)
class Metric:
    """needs: what the evidence must have; judged: whether `Judges.net` looks."""

    measure: Measure
    better: str
    needs: tuple[str, ...] = ()
    judged: bool = True
    floor: bool = True
    trivial: bool = True
    usual: bool = True  # taken where none are named
    ours: bool = False  # else torchmetrics computes it


METRICS: dict[str, Metric] = {
    "fid": Metric(by_frechet, "lower"),
    "kid": Metric(by_kernel, "lower"),
    "mind": Metric(by_slices, "lower", ours=True),
    "is": Metric(inception, "higher", usual=False),
    "precision-recall": Metric(precision_recall, "higher", ours=True),
    "density-coverage": Metric(density_coverage, "higher", ours=True, usual=False),
    "psnr": Metric(with_truth(enlarged.psnr), "higher", ("truths",), judged=False, floor=False),
    "ssim": Metric(with_truth(enlarged.ssim), "higher", ("truths",), judged=False, floor=False),
    "ms-ssim": Metric(multi_scale, "higher", ("truths",), judged=False, floor=False),
    "lpips": Metric(lpips, "lower", ("truths",), judged=False, floor=False, usual=False),
    "perceptual": Metric(perceptual, "lower", ("truths",), floor=False, ours=True, usual=False),
    "segmentation": Metric(segmentation, "higher", ("truths",), judged=False, floor=False, usual=False),
    "diversity": Metric(diversity, "", ("noise",), judged=False, ours=True),
    "memorisation": Metric(memorisation, "lower", ("noise",), ours=True, trivial=False),
    "path-length": Metric(path_length, "lower", ("noise",), ours=True, floor=False, trivial=False),
    "disentanglement": Metric(
        disentanglement, "higher", ("noise",), judged=False, ours=True, floor=False, trivial=False,
        usual=False,
    ),
    "caption-fidelity": Metric(fidelity, "higher", ("captions",), judged=False, ours=True, usual=False),
    "r-precision": Metric(r_precision, "higher", ("captions",), judged=False, ours=True, usual=False),
}  # fmt: skip
NEEDS = {
    "truths": "pictures that it should have made: paired or lowres data",
    "noise": "a model that draws from noise",
    "captions": "a model of captions",
}


def chosen(names: str, e: Evidence) -> list[str]:
    """The metrics of `fid,kid,...`; of "" the usual ones. Raises UserError for a name that is none."""
    if not names:
        return [name for name, m in METRICS.items() if m.usual and all(has(e, n) for n in m.needs)]
    found = [name.strip() for name in names.split(",") if name.strip()]
    for name in found:
        if name not in METRICS:
            hint = nearest(name, list(METRICS)) or ";"
            raise UserError(f"there is no metric {name!r}{hint} there are {', '.join(METRICS)}")
        if lacking := next((n for n in METRICS[name].needs if not has(e, n)), None):
            raise UserError(f"{name} needs {NEEDS[lacking]}; leave it out")
    return found


def has(e: Evidence, what: str) -> bool:
    found = getattr(e, what)
    return bool(found) if isinstance(found, list) else found is not None


def protocol(name: str, score: Score, e: Evidence, j: Judges) -> dict[str, Any]:
    """All that must be equal where two values of a metric are compared."""
    metric = METRICS[name]
    version = importlib.metadata.version("torchmetrics")
    return {
        "measure": score.protocol,
        "implementation": "translate.metrics" if metric.ours else f"torchmetrics {version}",
        "network": f"{j.net.name} {j.net.fingerprint}" if metric.judged else "none",
        "resize": j.net.resize if metric.judged else "none",
        "colours": "RGB, 8 bits",
        "size": "x".join(map(str, e.made.shape[-2:])),
        "made": len(e.made),
        "real": len(e.real),
        "split": e.split,
        "direction": e.direction,
        "seed": j.seed,
    }


def evaluate(e: Evidence, j: Judges, names: list[str]) -> list[Row]:
    """One row for each score of each metric. Raises UserError for what cannot be had."""
    rows = []
    learned_from = teachers(e.task.config)
    for name in names:
        metric, shuffled = METRICS[name], "captions" in METRICS[name].needs
        values = metric.measure(e.made, e, j)
        floor_of = e.shown if shuffled else e.floor
        floor = metric.measure(floor_of, e, j) if metric.floor and floor_of is not None else {}
        trivial_of = e.made.roll(1, 0) if shuffled else e.trivial
        trivial = metric.measure(trivial_of, e, j) if metric.trivial else {}
        remarks = []
        if metric.judged and j.net.family in learned_from:
            remarks.append(f"{j.net.name} taught this model: no independent judge")
        if floor and not shuffled and len(e.floor) < len(e.made):
            remarks.append(f"the floor is of {len(e.floor)} pictures")
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
