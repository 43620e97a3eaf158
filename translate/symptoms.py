"""What can go wrong in a training, as the doctor sees it: each sign with its formula, cause and remedy.

Thresholds were set by doing each wrong to small real trainings, and leaving others alone
(`tests/test_doctor.py`). Sources beside them where they are others'.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from translate.vitals import Evidence, Vitals

LATE = 1000  # updates after which a G has begun
PIXELS = ("L1", "cycle", "reconstruction", "MSE", "content", "pixels", "error")  # losses that need no D


@dataclass(frozen=True)
class Sign:
    """seen(vitals, history) gives numbers where it holds; `times` of the last four checks make an alarm."""

    name: str
    seen: Callable[[Vitals, list[Vitals]], Evidence | None]
    why: str
    remedy: str
    times: int = 3


# --- signs ----------------------------------------------------------------------------------------------


def median(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def has_pixel_loss_falling(v: Vitals, history: list[Vitals]) -> bool:
    """Where G learns from pixels too, a D that wins does no harm (pix2pixHD, issue 255)."""
    for name, value in v.logs.items():
        if name.startswith(PIXELS) and history:
            return value < history[0].logs.get(name, math.inf)
    return False


def discriminator_wins(v: Vitals, history: list[Vitals]) -> Evidence | None:
    if v.rank is None or v.loss_D is None or v.game in ("wasserstein", "relativistic"):
        return None
    if v.rank > 0.99 and v.loss_D < 0.05 and not has_pixel_loss_falling(v, history):
        return {"real above made": v.rank, "D's loss over a blind D's": v.loss_D}
    return None


def garbage(v: Vitals, history: list[Vitals]) -> Evidence | None:
    """D knew better before: one that has not begun to learn is no witness."""
    if v.rank is None or v.moments is None or v.game == "relativistic" or v.rank >= 0.2:
        return None
    best = max((h.rank for h in history if h.rank is not None), default=0.0)
    if best <= 0.5 or v.moments <= 0.3:
        return None
    return {"real above made": v.rank, "at best": best, "distance of moments": v.moments}


def exploding(v: Vitals, history: list[Vitals]) -> Evidence | None:
    for name, norm in v.norms.items():
        usual = median([h.norms[name] for h in history if name in h.norms] or [norm])
        if not math.isfinite(norm) or (norm > 100 and norm > 10 * usual) or norm > 1e6:
            return {f"gradient norm of {name}": norm, "usual": usual}
    return None


def vanishing(v: Vitals, history: list[Vitals]) -> Evidence | None:
    if v.pull is not None and v.pull < 0.01:
        return {"pull of D on G": v.pull}
    for name, norm in v.norms.items():
        if name.startswith("G") and norm < 1e-7:
            return {f"gradient norm of {name}": norm}
    return None


def oscillating(v: Vitals, history: list[Vitals]) -> Evidence | None:
    """How often D is right swings by a fifth and more, at least every eighth check."""
    ranks = [h.rank for h in [*history, v] if h.rank is not None]
    turns = turning(ranks, 0.2)
    return {"turns": turns, "checks": len(ranks)} if turns >= 5 and turns > len(ranks) / 8 else None


def turning(values: list[float], least: float) -> int:
    """How often values turn after having gone `least` one way."""
    turns, way, extreme = 0, 0, values[0] if values else 0.0
    for value in values:
        if way >= 0 and value > extreme or way <= 0 and value < extreme:
            if way or abs(value - extreme) >= least:
                way, extreme = (1 if value > extreme else -1), value
        elif abs(value - extreme) >= least:
            turns, way, extreme = turns + 1, -way, value
    return turns


def earlier(name: str, history: list[Vitals]) -> list[float]:
    return [h.samples[name] for h in history if name in h.samples]


def collapsed(v: Vitals, history: list[Vitals]) -> Evidence | None:
    """Samples alike, and not on their way apart: a G that has hardly begun is no collapse."""
    name = "spread over the data's"
    ratio, before = v.samples.get(name), earlier(name, history)
    if ratio is None or not before or ratio >= 0.25 or ratio > 1.1 * before[-1]:
        return None
    fallen = ratio < 0.5 * max(before)
    return {name: ratio} if fallen or ratio < 0.02 or v.age >= LATE else None


def shifted(v: Vitals, history: list[Vitals]) -> Evidence | None:
    """Colours off, and not on their way back."""
    name = "shift of a mean colour"
    shift, before = v.samples.get(name, 0.0), earlier(name, history)
    return {name: shift} if shift > 0.5 and before and shift > 0.99 * before[-1] else None


def untouched(*limits: tuple[str, float, float]) -> Callable[[Vitals, list[Vitals]], Evidence | None]:
    """(name, ever, late): below the first limit, or the second where networks have had the time to learn."""

    def seen(v: Vitals, history: list[Vitals]) -> Evidence | None:
        found = {
            name: v.samples[name]
            for name, ever, late in limits
            if abs(v.samples.get(name, math.inf)) < (late if v.age >= LATE else ever)
        }
        return found or None

    return seen


def below(name: str, limit: float) -> Callable[[Vitals, list[Vitals]], Evidence | None]:
    return lambda v, history: {name: v.samples[name]} if v.samples.get(name, math.inf) < limit else None


def above(name: str, limit: float) -> Callable[[Vitals, list[Vitals]], Evidence | None]:
    return lambda v, history: {name: v.samples[name]} if v.samples.get(name, -math.inf) > limit else None


def lasting(name: str, limit: float) -> Callable[[Vitals, list[Vitals]], Evidence | None]:
    """Above the limit, and not on its way down."""

    def seen(v: Vitals, history: list[Vitals]) -> Evidence | None:
        value, before = v.samples.get(name, -math.inf), earlier(name, history)
        return {name: value} if value > limit and before and value > 0.7 * before[-1] else None

    return seen


def wrong_range(v: Vitals, history: list[Vitals]) -> Evidence | None:
    low, high, deviation = (v.samples.get(f"data's {k}") for k in ("least", "most", "deviation"))
    if low is None:
        return None
    half = low >= -0.05 and 0.5 < high <= 1.05  # [0, 1] where [-1, 1] is meant
    wrong = half or high > 1.5 or low < -1.5 or deviation < 0.02
    return {"least": low, "most": high, "deviation": deviation} if wrong else None


def rate_high(v: Vitals, history: list[Vitals]) -> Evidence | None:
    """Large steps after still larger ones: weights that such steps have made grow move less."""
    name, worst = max(v.moved.items(), key=lambda item: item[1], default=("", 0.0))
    most = max((h.moved.get(name, 0.0) for h in [*history, v]), default=0.0)
    if worst <= 0.02 or most <= 0.1:
        return None
    return {f"share of {name}'s weights moved by an update": worst, "at most": most}


def rate_low(v: Vitals, history: list[Vitals]) -> Evidence | None:
    """A network that does not move at all while others do has its turn at another time."""
    learns = {name: share for name, share in v.moved.items() if share > 0} or v.moved
    least = min(learns.items(), key=lambda item: item[1], default=("", 1.0))
    return {f"share of {least[0]}'s weights moved by an update": least[1]} if least[1] < 1e-6 else None


def inverted(v: Vitals, history: list[Vitals]) -> Evidence | None:
    found, truth = v.samples.get("correlation with the input"), v.samples.get("the truth's correlation", 0.0)
    if found is None or found >= -0.5 or truth < -0.3:
        return None
    return {"correlation with the input": found}


def divergence(v: Vitals) -> float | None:
    """Of an autoencoder's codes, not of sentences (StackGAN's is small on purpose)."""
    rebuilds = any(name in v.logs for name in ("reconstruction", "error"))
    return v.logs.get("KL") if rebuilds else None


def posterior_collapsed(v: Vitals, history: list[Vitals]) -> Evidence | None:
    """KL is small in the beginning, too, but it rises then."""
    now, before = divergence(v), [d for h in history[-3:] if (d := divergence(h)) is not None]
    if now is None or now >= 0.5 or len(before) < 3:
        return None
    return {"KL in nats": now, "three checks ago": before[0]} if now < 1.2 * before[0] else None


SIGNS = (
    Sign(
        "discriminator-wins", discriminator_wins,
        "D tells real from made pictures without fail, so G learns little from it",
        "--penalty r1, a lower step size or fewer steps of D, --objective hinge",
    ),
    Sign(
        "fooling-with-garbage", garbage,
        "D prefers made pictures to real ones although they are unlike: G found what D overlooks",
        "a higher step size of D, --penalty r1, a lower --learning-rate",
    ),
    Sign(
        "exploding-gradient", exploding,
        "gradients are far larger than they were", "--clip 1, a lower --learning-rate, --penalty r1", 1,
    ),
    Sign(
        "vanishing-generator", vanishing,
        "hardly any gradient reaches G: its loss is flat where D is sure",
        "--objective non-saturating (or least-squares, hinge); --penalty r1",
    ),
    Sign(
        "oscillation", oscillating,
        "G and D take turns winning instead of settling",
        "a lower --learning-rate, --ema 0.999, --penalty r1, a larger --batch-size", 1,
    ),
    Sign(
        "mode-collapse", collapsed,
        "samples differ far less than the data does",
        "--penalty r1, --objective wasserstein --penalty gradient, a larger --batch-size, an earlier state",
        2,
    ),
    Sign(
        "noise-ignored", untouched(("change by the noise over that by the input", 1e-5, 0.02)),
        "another seed hardly changes the picture",
        "a lower weight of the pixel loss (--lambda-L1), --batch-size 32", 2,
    ),
    Sign(
        "text-ignored",
        untouched(
            ("change by the caption over that by the noise", 1e-3, 0.05),
            ("D's answer to the caption over that to the picture", 1e-7, 0.01),
        ),
        "another caption hardly changes the picture or D's answer: they do not read",
        "pairs of pictures and wrong captions for D (--task gan_cls or df_gan), --lambda-text 5", 2,
    ),
    Sign(
        "overfit-discriminator", above("D's gap between training and held-out pictures", 0.4),
        "D knows the training pictures by heart: it rates held-out ones as if they were made",
        "more data, --color-jitter 0.2, --flip, a smaller --channels, an earlier state", 2,
    ),
    Sign(
        "memorised", below("distance to training pictures over held-out ones'", 0.5),
        "made pictures lie nearer to training pictures than held-out ones do: they are copies",
        "more pictures in --data, --color-jitter 0.2, a smaller --channels, an earlier state", 2,
    ),
    Sign(
        "dead-units", above("largest share of dead units in a layer", 0.5),
        "more than half of a layer's units are silent whatever the picture",
        "a lower --learning-rate, start anew (--seed), leaky units", 2,
    ),
    Sign(
        "wrong-data-range", wrong_range,
        "pictures are not spread over [-1, 1] as networks that end in tanh expect",
        "check --data: look at `python -m translate data PATH`; do not scale pictures to [0, 1]", 1,
    ),
    Sign(
        "learning-rate-high", rate_high,
        "single updates move the weights by more than 2 %, over and over", "--learning-rate a tenth of it",
    ),
    Sign(
        "learning-rate-low", rate_low,
        "the weights hardly move", "--learning-rate ten times as high, --lr-schedule constant",
    ),
    Sign(
        "does-nothing", below("change of the input", 0.02),
        "the translation is the input itself",
        "a lower --identity or --lambda-cycle, --discriminator projected, longer training", 2,
    ),
    Sign(
        "inverted", inverted,
        "bright becomes dark: a known dead end of cycle losses, which a mirror image of values satisfies",
        "start anew with another --seed, --identity 0.5, or use --task cut", 2,
    ),
    Sign(
        "colour-shift", shifted,
        "colours are, on the whole, not the target's", "--identity 0.5, --norm none, longer training", 2,
    ),
    Sign(
        "checkerboard", lasting("power of period two over the data's", 8.0),
        "made pictures carry a grid of two pixels", "--upsample resize", 2,
    ),
    Sign(
        "hidden-message", above("cycle error with noise over without", 4.0),
        "the way back lives on faint patterns hidden in the translation: a little noise breaks it",
        "--cycle-noise 0.05, a lower --lambda-cycle", 2,
    ),
    Sign(
        "posterior-collapse", posterior_collapsed,
        "the encoder says nothing of the picture (KL near 0), the decoder ignores z",
        "a lower --beta, a smaller --deviation (--likelihood), a weaker decoder",
    ),
)  # fmt: skip
NAMES = tuple(sign.name for sign in SIGNS)
