"""`--eval-every`: a score of the model during its training, its best weights kept, and when to stop."""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor

from translate import figures
from translate.config import RunConfig, UserError
from translate.metrics import evaluation, evidence, features, frechet
from translate.metrics.command import usual_network
from translate.task import Task
from translate.training import checkpoint
from translate.training.observers import Observer, Seen

PATIENCE = 5  # evaluations without a better one, by two standard errors, until it is said
RESAMPLES = 8  # of the pictures, for the standard error
SETS = {"fid": frechet.frechet, "mind": frechet.sliced}  # scores whose error is found by resampling


class Evaluation(Observer):
    """An observer of the training loop: `best/` beside the newest weights, `evaluation.png`, a word.

    train, held_out: data sets of the task's kind, without augmentation. Raises UserError where the metric or
    the features cannot be had, before any training.
    """

    def __init__(self, task: Task, train, held_out, config: RunConfig):
        self.every, self.count, self.seed = config.eval_every, config.eval_count, config.seed
        self.metric, self.train, self.held_out = config.eval_metric, train, held_out
        if self.metric not in evaluation.METRICS:
            raise UserError(
                f"--eval-metric {self.metric}: there is no such metric; there are "
                f"{', '.join(evaluation.METRICS)}"
            )
        name = config.eval_features
        net = features.network(usual_network(config.data) if name == "auto" else name)
        self.judges = evaluation.Judges(net, self.seed)
        self.better = evaluation.METRICS[self.metric].better or "higher"
        self.known: evidence.Evidence | None = None
        self.announced = False

    def __call__(self, seen: Seen) -> dict[str, float]:
        task, folder = seen.task, Path(seen.folder)
        if seen.t <= task.begins:  # its pictures are those of networks that have not learned at all
            return {}
        label, value, error = self.score(task)
        points = [*history(folder, label, seen.t), (seen.t, value, error)]
        best = self.best(points)
        if best == len(points) - 1:
            checkpoint.write_model(folder / "best", task, seen.t)
        curve = figures.curve([(t, v) for t, v, _ in points], label, best)
        checkpoint.replace_file(folder / "evaluation.png", lambda new: curve.save(new, format="PNG"))
        if self.stopped(points) and not self.announced:
            t, found, _ = points[best]
            self.say(
                f"update {seen.t:,}: {label} has not improved for {PATIENCE} evaluations: {found:.4g} at "
                f"update {t:,} is the best, and {folder / 'best'} holds those weights. You may stop here."
            )
        self.announced = self.stopped(points)
        return {label: value, f"{label} error": error}

    def say(self, words: str) -> None:
        from tqdm import tqdm

        tqdm.write(words, file=sys.stderr)

    def score(self, task: Task) -> tuple[str, float, float]:
        """Name, value and standard error (0 where it is not known); the task's random state is kept."""
        device = next(task.parameters()).device
        self.judges.net.to(device)
        task.eval()
        with torch.random.fork_rng([device] if device.type == "cuda" else []), task.using_average():
            options = dict(count=self.count, seed=self.seed, like=self.known)
            self.known = found = evidence.gather(task, self.held_out, self.train, **options)
            evaluation.chosen(self.metric, found, self.judges)
            scores = evaluation.METRICS[self.metric].measure(found.made, found, self.judges)
            label, score = next(iter(scores.items()))
            error = 0.0
            if self.metric in SETS:
                ours, theirs = (found.features(x, self.judges.net) for x in (found.made, found.real))
                error = standard_error(self.metric, ours, theirs, self.seed)
        return label, score.value, error

    def gain(self, new: float, old: float) -> float:
        return new - old if self.better == "higher" else old - new

    def best(self, points: list[tuple[int, float, float]]) -> int:
        """The place of the best value, the first of equals."""
        values = [v if self.better == "higher" else -v for _, v, _ in points]
        return values.index(max(values))

    def stopped(self, points: list[tuple[int, float, float]]) -> bool:
        """Whether the last PATIENCE values are not better than all before by two standard errors."""
        if len(points) <= PATIENCE:
            return False
        earlier, later = points[:-PATIENCE], points[-PATIENCE:]
        _, before, _ = earlier[self.best(earlier)]
        return all(self.gain(value, before) <= 2 * error for _, value, error in later)


def history(folder: Path, label: str, before: int) -> list[tuple[int, float, float]]:
    """(update, value, standard error) of earlier evaluations in `logs.jsonl`."""
    path, found = folder / "logs.jsonl", {}
    if path.exists():
        for row in path.read_text().splitlines():
            try:
                entry = json.loads(row)
            except ValueError:
                continue  # a line that a kill cut short
            if label in entry and entry["step"] < before:
                found[entry["step"]] = entry["step"], entry[label], entry.get(f"{label} error", 0.0)
    return list(found.values())


def standard_error(metric: str, made: Tensor, real: Tensor, seed: int) -> float:
    """Of resampled made pictures (Efron 1979): each time as many of them, drawn with replacement."""
    generator, found = torch.Generator().manual_seed(seed), []
    for _ in range(RESAMPLES):
        drawn = torch.randint(len(made), (len(made),), generator=generator)
        found.append(SETS[metric](made[drawn], real).value)
    return float(torch.tensor(found).std())
