"""The games of tab Playground: a GAN of points, trained by the code of `--task gan`, and how it looks now.

A table holds one visitor's game. `play` trains it for some milliseconds, `frame` is what the page draws.
"""

import dataclasses
import re
import time
import typing
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

import datasets
from datasets import points
from translate.config import Objective, UserError
from translate.doctor import Doctor
from translate.training.lesson import Lesson
from translate.training.update import NonFinite
from translate.ui.words import W

SIDE = 36  # squares of D's surface, each way
SHOWN = 200  # points of the data and made points
ARROWS = 60
COMPARED = 96  # points between which the distance is measured
CHECK = 100  # updates between two visits of the doctor
LATENT, WIDTH, BATCH = 8, 64, 128
BUMP, RING, GRID, THIN = W.games.one_bump, W.games.ring_of_8, W.games.grid_of_25, W.games.thin_ring
DATA = {  # name: (toy, middle of the view, half its width, centres, deviation)
    BUMP: ("gaussian", (2.5, 2.5), 6.0, [(5.0, 5.0)], 1.0),
    RING: ("ring", (0.0, 0.0), 3.0, points.CIRCLE, 0.02),
    GRID: ("grid", (0.0, 0.0), 5.5, points.GRID, 0.05),
    THIN: ("ring-map", (0.0, 0.0), 2.4, None, None),
}
GAMES = typing.get_args(Objective)
NONE, GRADIENT = W.games.no_penalty, W.games.gradient_penalty
PENALTIES = {NONE: ("none",), "R1": ("r1",), W.games.r1_and_r2: ("r1", "r2"), GRADIENT: ("gradient",)}
RATES = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2]
DEEP, FLAT = W.games.two_layers_each, W.games.d_of_one_layer
NETWORKS = {  # of `--task gan`: settings; the first are tanh, which bends smoothly, the others ReLUs
    DEEP: dict(hidden=WIDTH, units=WIDTH, pieces=1, activation="tanh", dropout=False),
    FLAT: dict(network="metz", hidden=2 * WIDTH, units=2 * WIDTH),
}
CONTROLS = {  # flags that the doctor names, as the page has them
    "--objective": W.playground.game, "--penalty": W.playground.penalty_on_d,
    "--learning-rate": W.playground.step_size_of.format(name="G"),
}  # fmt: skip
NOW, BEST, NOTHING = VIEWS = (W.games.d_now, W.games.best_d, W.games.no_surface)


@dataclass(frozen=True)
class Rules:
    """Of a game; what the controls of the page hold."""

    data: str = BUMP
    game: str = "non-saturating"
    penalty: str = "R1"
    strength: float = 1.0  # of the penalty
    k: int = 1  # updates of D for each of G
    unroll: int = 0  # updates of D that G looks ahead
    rate_g: float = 1e-3
    rate_d: float = 1e-3
    momentum: float = 0.5  # Adam's beta1
    network: str = DEEP

    def __post_init__(self):
        bounds = dict(strength=(0, 100), k=(1, 20), unroll=(0, 10), rate_g=(1e-6, 0.1), rate_d=(1e-6, 0.1))
        known = dict(data=DATA, game=GAMES, penalty=PENALTIES, network=NETWORKS)
        for name, choices in known.items():
            one_of(name, getattr(self, name), choices)
        for name, (least, most) in (bounds | dict(momentum=(0, 0.95))).items():
            value = getattr(self, name)
            whole = name in ("k", "unroll")
            if (
                not isinstance(value, int | float)
                or not least <= value <= most
                or whole
                and value != int(value)
            ):
                sentence = W.games.whole_number_between if whole else W.games.number_between
                raise UserError(sentence.format(name=name, least=least, most=most))

    def settings(self) -> dict:
        """Flags of --task gan."""
        return dict(
            data=DATA[self.data][0], objective=self.game, penalty=PENALTIES[self.penalty],
            lambda_penalty=float(self.strength), n_critic=int(self.k), unroll=int(self.unroll),
            learning_rate=float(self.rate_g), rate_d=float(self.rate_d), beta1=float(self.momentum),
            optimizer="adam", latent=LATENT, batch_size=BATCH, steps=10**6, workers=1,
        ) | NETWORKS[self.network]  # fmt: skip


def one_of(what: str, value, known) -> None:
    """Raises UserError where a value is none of those known."""
    if not isinstance(value, str) or value not in known:
        raise UserError(
            W.games.no_such_choice.format(what=what, given=str(value)[:40], known=", ".join(known))
        )


METZ = Rules(RING, "minimax", NONE, 1.0, 1, 0, 1e-3, 1e-3, 0.5, FLAT)
PRESETS: dict[str, tuple[Rules, str]] = {
    W.games.a_bump_is_learned: (
        Rules(),
        W.games.a_bump_is_learned_text,
    ),
    W.games.saturation: (
        Rules(BUMP, "minimax", NONE, 1.0, 20, 0, 1e-4, 3e-3, 0.5),
        W.games.saturation_text,
    ),
    W.games.mode_collapse: (
        METZ,
        W.games.mode_collapse_text,
    ),
    W.games.cured_by_unrolling: (
        dataclasses.replace(METZ, unroll=5),
        W.games.cured_by_unrolling_text,
    ),
    W.games.the_wasserstein_fix: (
        Rules(RING, "wasserstein", GRADIENT, 0.1, 5, 0, 1e-3, 1e-3, 0.0),
        W.games.the_wasserstein_fix_text,
    ),
}  # fmt: skip


@lru_cache(8)
def data_of(name: str):
    return datasets.load("points", DATA[name][0], size=8)


@lru_cache(8)
def real_points(name: str, count: int) -> Tensor:
    return points.draw(DATA[name][0], count, seed=77)[0]


def grid_of(name: str) -> Tensor:
    """The middles of the squares of D's surface, row by row from the top left: [SIDE², 2]."""
    _, (x, y), half, _, _ = DATA[name]
    step = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    down, across = torch.meshgrid(-step, step, indexing="ij")
    return torch.stack([x + half * across, y + half * down], -1).reshape(-1, 2)


def by_controls(remedy: str) -> str:
    """What the page's controls can do of a remedy in flags, by their names; all of it where it is nothing."""
    parts = []
    for part in re.split(r"[,;] (?![^(]*\))", remedy):
        part = re.sub(r"^(--\S+ \S+) --", r"\1 + --", part)
        for flag, name in CONTROLS.items():
            part = part.replace(flag, f"“{name}”")
        if "--" not in part:
            parts.append(part)
    return ", ".join(parts) or remedy


class Table:
    """One game under way. Not for several threads at once."""

    def __init__(self, rules: Rules, seed: int = 0):
        self.rules, self.seed, self.view = rules, seed, VIEWS[0]
        self.wanted, self.most, self.playing = rules, 10**6, False  # what the page asks of the next picture
        self.begin()

    def begin(self) -> None:
        """Both networks anew."""
        self.lesson = Lesson.of("gan", data_of(self.rules.data), seed=self.seed, **self.rules.settings())
        self.sit()

    def sit(self) -> None:
        self.recent: deque[dict[str, float]] = deque(maxlen=CHECK)
        self.norms: dict[str, float] = {}
        self.doctor = Doctor(self.lesson.task, data_of(self.rules.data))
        self.words: dict[str, str] = {}  # the doctor's, one of each sign, the newest last

    def follow(self, rules: Rules) -> None:
        """Go on by other rules, with the networks as they are; other data or networks begin anew."""
        if rules == self.rules:
            return
        other = (rules.data, rules.network) != (self.rules.data, self.rules.network)
        self.rules = rules
        if other:
            return self.begin()
        before, t = self.lesson.task.state_dict(), self.lesson.t
        self.lesson = Lesson.of("gan", data_of(rules.data), seed=self.seed, **rules.settings())
        self.lesson.task.load_state_dict(before)
        self.lesson.t = t
        self.sit()

    def play(self, seconds: float, most: int = 10**6) -> int:
        """Train for so long, or so many updates; at the least until G has had a turn. Returns the updates."""
        end, done, k = time.perf_counter() + seconds, 0, int(self.rules.k)
        try:
            while True:
                self.recent += self.lesson.learn(k - self.lesson.t % k)
                done += k
                self.norms |= {name: float(norm) for name, norm in self.lesson.update.norms.items()}
                if self.lesson.t % CHECK < k:
                    self.ask_the_doctor()
                if done >= most or time.perf_counter() >= end:
                    return done
        except NonFinite:
            self.playing = False
            raise UserError(W.games.blown_up) from None

    def ask_the_doctor(self) -> None:
        logs = {name: self.mean(name) for name in ("D", "G")}
        logs = {name: value for name, value in logs.items() if value is not None}
        for alarm in self.doctor.visit(
            self.lesson.t - self.lesson.t % CHECK, logs, self.norms, self.lesson.task
        ):
            said = W.games.alarm.format(name=alarm.name, why=alarm.why, remedy=by_controls(alarm.remedy))
            self.words.pop(alarm.name, None)
            self.words[alarm.name] = said

    def mean(self, name: str) -> float | None:
        values = [one[name] for one in self.recent if name in one][-20:]
        return sum(values) / len(values) if values else None

    # --- what is seen ---------------------------------------------------------------------------------------

    def frame(self) -> dict:
        """What the page draws: numbers rounded, points in thousandths of the view."""
        task, name = self.lesson.task, self.rules.data
        _, centre, half, centres, deviation = DATA[name]
        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            z = torch.randn(512, LATENT)
        with torch.no_grad():
            made, real = task.generate(z), real_points(name, SHOWN)
            judged = [task.D(x)[:, 0] for x in (real, made)]
            surface = self.surface(made)
        arrows, strength = self.arrows(made[:ARROWS])
        middle = torch.tensor(centre)

        def placed(x: Tensor) -> list[int]:
            return ((x - middle) / half * 1000).clamp(-9999, 9999).round().int().flatten().tolist()

        boundary = getattr(task.objective, "boundary", 0.0)
        if self.rules.game == "wasserstein":  # no answer of its own: the middle of both
            boundary = float(torch.cat(judged).mean())
        right = ((judged[0] > boundary).float().mean() + (judged[1] <= boundary).float().mean()) / 2
        cost = torch.cdist(made[:COMPARED], real_points(name, COMPARED))
        found = dict(
            t=self.lesson.t, data=name, real=placed(real), made=placed(made[:SHOWN]),
            arrows=placed(made[:ARROWS] + arrows), surface=surface, view=self.view, playing=self.playing,
            right=round(float(right), 3), pull=round(float(strength.mean()), 5),
            gradient=self.norms.get("G"), distance=round(float(cost[linear_sum_assignment(cost)].mean()), 3),
            loss_D=self.mean("D"), loss_G=self.mean("G"), doctor=list(self.words.values())[-3:],
        )  # fmt: skip
        if centres and len(centres) > 1:
            apart, which = torch.cdist(made, torch.tensor(centres)).min(1)
            share = torch.bincount(which[apart < max(0.35, 5 * deviation)], minlength=len(centres)) / len(
                made
            )
            found |= dict(modes=int((share > 0.25 / len(centres)).sum()), of=len(centres))
            found["spread"] = round(float(made.std(0).norm() / real.std(0).norm()), 3)
        found["words"] = reading(found, self.rules)
        return found

    def arrows(self, made: Tensor) -> tuple[Tensor, Tensor]:
        """Where G's loss would have each made point go, minus its gradient, and how strong: [N, 2], [N]."""
        x = made.detach().requires_grad_()
        task = self.lesson.task
        loss = getattr(task.objective, "game", task.objective).fool(
            task.D, x, real_points(self.rules.data, len(x))
        )
        (gradient,) = torch.autograd.grad(loss, x)
        way = -gradient * len(x)  # of each point's own loss
        strength, longest = way.norm(dim=1), 0.25 * DATA[self.rules.data][2]
        return way / (strength[:, None] + 0.3) * longest, strength

    def surface(self, made: Tensor) -> list[int]:
        """D on the grid in 0 (made) to 100 (real); or the best D there, p / (p + q), q a Parzen window."""
        places, name = grid_of(self.rules.data), self.rules.data
        if self.view == NOTHING:
            return []
        if self.view == BEST:
            width = 0.08 * DATA[name][2]
            windows = (real_points(name, 2000)[:512], made)
            p, q = (
                torch.exp(-torch.cdist(places, x).square() / (2 * width**2)).mean(1) + 1e-6 for x in windows
            )
            return (100 * p / (p + q)).round().int().tolist()
        logits = self.lesson.task.D(places)[:, 0]
        if self.rules.game == "wasserstein":  # scores without a scale: spread over the colours
            logits = (logits - logits.mean()) / logits.std().clamp_min(1e-6) * 2
        elif self.rules.game == "least-squares":
            logits = 4 * (logits - 0.5)
        return (100 * logits.sigmoid()).round().int().tolist()


def reading(seen: dict, rules: Rules) -> str:
    """What a frame shows, in a sentence or two."""
    if seen["loss_D"] is None:
        return W.games.nobody_has_learned
    found = []
    if seen["right"] > 0.97 and seen["pull"] < 0.02:
        flat = W.games.minimax_is_flat if rules.game == "minimax" else ""
        found.append(W.games.d_wins_no_arrows.format(flat=flat))
    elif seen["right"] > 0.97:
        found.append(W.games.d_wins_arrows)
    elif seen["right"] < 0.6 and seen["distance"] < 0.15 * DATA[rules.data][2]:
        found.append(W.games.d_can_hardly_tell)
    else:
        found.append(W.games.d_is_right.format(right=seen["right"]))
    if "modes" in seen and seen["loss_D"] is not None:
        of = W.games.modes_found.format(modes=seen["modes"], of=seen["of"])
        few = W.games.others_dropped if seen["spread"] < 0.5 else W.games.others_not_yet
        found.append(few.format(modes_found=of) if seen["modes"] < seen["of"] / 2 else f"{of}.")
    return " ".join(found)
