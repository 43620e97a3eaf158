"""Settings: one flat dataclass; every field is a flag, a JSON or YAML key and a line of --help.

Nothing here imports torch, so `--help` and a mistyped flag are answered at once: see `outline`, which says
what the comments are for. Kinds of data bring settings of their own: `datasets.options`.
"""

import dataclasses
import difflib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Objective = Literal["minimax", "non-saturating", "least-squares", "wasserstein", "hinge", "relativistic"]
Penalties = tuple[Literal["none", "r1", "r2", "gradient"], ...]
Translator = Literal["unet256", "unet128", "resnet9", "resnet6"]
Norm = Literal["instance", "batch", "none"]
GameNorm = Literal["none", "batch", "layer", "instance", "spectral", "reference", "virtual"]

METHODS = Path(__file__).resolve().parent.parent / "models"
# Settings that every method had before they belonged to kinds of data: in older config.json of any method.
FORMER = {"a", "b", "direction", "resize", "load_size", "flip", "color_jitter", "strokes", "scale", "shrink"}
FORMER |= {"degrade", "cache", "labels_a", "labels_b", "skip_unpaired"}


RENAMED = {"said": "compressed", "given": "condition", "told": "label_dim"}  # settings of older runs


class UserError(ValueError):
    """A mistake of the user's, told in one sentence: what was expected, what came, what to do."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every training run can set."""

    # == Data ==
    data: str = "birds"  # folder, zip, folder inside a zip, tar shards, Hub data set id, or birds (built in)
    size: int = 256  # height and width of the training crops, in pixels
    workers: int = 2  # threads that decode pictures ahead of the training step

    # == Training ==
    steps: int = 100_000  # updates in all
    batch_size: int = 1  # pictures a process and update
    accumulate: int = 1  # batches whose gradients are added up before an update
    learning_rate: float = 2e-4  # Adam's step size
    lr_schedule: Literal["constant", "linear", "cosine"] = (
        "constant"  # linear: constant, then to 0 over the last half
    )
    clip: float = 0.0  # largest gradient norm per optimizer; 0 is off
    ema: float = 0.0  # decay of the moving average of the exported weights, e.g. 0.999; 0 is off
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"  # auto: what is fastest here, measured
    init_from: Path | None = (
        None  # begin with the weights of this run or model folder, where names and shapes fit
    )
    seed: int = 0  # everything random follows from it
    allow_change: bool = False  # continue with another --batch-size or --learning-rate; the card notes it

    # == Output ==
    output: Path | None = None  # the run's folder; default runs/<task>-<data>
    save_every: int = 1000  # updates between two states to resume from
    save_minutes: float = 10.0  # also save, and preview, when so much time has passed; at first after 1, 2, 4
    keep_states: int = 2  # older states are deleted
    preview_every: int = 500  # updates between two preview pictures; 0 is off
    preview_count: int = 6  # rows of a preview picture
    log_every: int = 50  # updates between two lines of logs.jsonl
    report_to: tuple[str, ...] = ()  # tensorboard, trackio, wandb, ... (Accelerate's trackers)

    # == Watching ==
    doctor: bool = True  # say what goes wrong, why, and which flags help (docs/scores.md)
    silence: tuple[str, ...] = ()  # alarms that the doctor keeps to itself, e.g. mode-collapse
    eval_every: int = (
        0  # updates between two scores on held-out pictures; the best weights are kept; 0 is off
    )
    eval_metric: str = "mind"  # which score: a metric of `python -m translate evaluate`
    eval_features: str = "auto"  # the network that judges, e.g. efficientnet-lite2, lenet-mnist
    eval_count: int = 1000  # pictures scored each time


@dataclass(frozen=True, kw_only=True)
class TextConfig(RunConfig):
    """What methods that draw captions also share."""

    # == Text ==
    text_encoder: str = (
        "scratch"  # scratch: learned here; or a transformers text model, frozen: Hub id, folder
    )
    text_revision: str | None = None  # of that model on the Hub; default the newest, which is written down
    text_words: Path | None = (
        None  # file of word vectors, kept as they are: words of no caption are understood by their kin
    )
    words: int = 256  # numbers of a sentence, as AttnGAN's encoder has; a --text-encoder brings its own
    text_steps: int = 3000  # first so many updates train the text encoder; then it is frozen
    text_sight: Literal["plain", "imagenet"] = "plain"  # what it learns with; imagenet: by EfficientNet-lite0
    text_rate: float = 3e-4  # step size of those updates
    lambda_text: float = 0.0  # weight in G of that encoder's own loss (AttnGAN's DAMSM: 5 on birds); 0: off


@dataclass(frozen=True, kw_only=True)
class GameConfig(RunConfig):
    """What methods with a discriminator D that sees pictures share."""

    # == Game ==
    objective: Objective = "non-saturating"  # the adversarial game
    penalty: Penalties = ("none",)  # regularisers of D, one or several: r1, r2, gradient
    lambda_penalty: float = 10.0  # their weight; 10 in WGAN-GP and in the R1 paper, of patches too
    penalty_every: int = 1  # updates between two penalties, which then weigh so much more; StyleGAN2 has 16
    beta1: float = 0.5  # Adam's first moment


@dataclass(frozen=True, kw_only=True)
class TranslatorConfig(GameConfig):
    """What methods share that translate pictures by a G against a D of patches."""

    # == Networks ==
    generator: Translator = "resnet9"  # unet256 needs sizes in multiples of 256, unet128 of 128, resnets of 4
    channels: int = 64  # width of the first layer of G
    norm: Norm = "instance"  # of G's features
    upsample: Literal["transposed", "resize"] = "transposed"  # resize: nearest + convolution, no checkerboard
    patch: Literal["1", "16", "70", "286"] = "70"  # receptive field of a plain discriminator, in pixels


@dataclass(frozen=True, kw_only=True)
class UnpairedConfig(TranslatorConfig):
    """What methods also share whose D sees one picture at a time."""

    # == Networks ==
    discriminator: Literal["plain", "projected"] = "plain"  # projected: sees ImageNet features
    channels_D: int | None = None  # width of D's first layer; default --channels
    norm_D: Norm = "instance"  # of a plain D's features


def tasks() -> list[str]:
    """Names of the methods: the files in the rooms of `models/`."""
    return sorted(path.stem for path in files())


def files() -> list[Path]:
    """The methods' files: `models/<room>/<task>.py`, of every room but `common`."""
    found = METHODS.glob("*/*.py")
    return [path for path in found if path.parent.name != "common" and not path.stem.startswith("_")]


def home(task: str) -> Path:
    """The file of a method. Raises UserError, with the nearest name, where there is none."""
    check_task(task)
    return next(path for path in files() if path.stem == task)


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """`, did you mean X?` for the known word most like `word`, or nothing."""
    longer = [name for name in known if name.startswith(word)]
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.5) or longer
    return f", did you mean {match[0]}?" if match else ""


def check_task(task: str) -> None:
    """Raises UserError, with the nearest name, where there is no method of that name."""
    if task not in tasks():
        closest = nearest(task, tasks()) or "."
        raise UserError(f"unknown task {task!r}{closest} The tasks are: {', '.join(tasks())}")


def check(config: RunConfig) -> None:
    """Raises UserError for values no run can have."""
    whole = ("size steps batch_size accumulate workers save_every keep_states log_every preview_count", 1)
    zero = ("preview_every seed clip lambda_penalty color_jitter strokes degrade", 0)
    at_least = {name: least for names, least in (whole, zero) for name in names.split()}
    at_least |= dict(size=8, penalty_every=1)
    for name, least in at_least.items():
        if not getattr(config, name, least) >= least:
            flag, value = name.replace("_", "-"), getattr(config, name)
            raise UserError(f"--{flag} {value} is too small; the least is {least}")
    if not 0 <= config.ema < 1:
        raise UserError(f"--ema {config.ema} must be in [0, 1), e.g. 0.999")
    if not 0 < config.learning_rate < math.inf:
        raise UserError(f"--learning-rate {config.learning_rate} must be a number above 0")
    load_size = getattr(config, "load_size", None)
    if load_size is not None and load_size < config.size:
        raise UserError(
            f"--load-size {load_size} is below --size {config.size}; crops cannot be larger than pictures"
        )


def to_json(config: RunConfig) -> dict:
    """The settings as JSON values."""
    values = dataclasses.asdict(config)
    return {
        k: str(v) if isinstance(v, Path) else list(v) if isinstance(v, tuple) else v
        for k, v in values.items()
    }


def from_json(config: type[RunConfig], values: dict) -> RunConfig:
    """The inverse of `to_json`, without what is FORMER; settings unknown to this version raise UserError."""
    known = {f.name: f for f in dataclasses.fields(config)}
    values = {name: value for name, value in values.items() if name in known or name not in FORMER}
    values = {name if name in known else RENAMED.get(name, name): value for name, value in values.items()}
    if unknown := sorted(set(values) - set(known)):
        raise UserError(
            f"config.json has the setting {unknown[0]!r}, unknown here{nearest(unknown[0], list(known))}"
        )
    made = {}
    for name, value in values.items():
        kind = str(known[name].type)
        if "tuple" in kind and value is not None:  # one value where there may be several now
            value = tuple(value) if isinstance(value, list) else (value,)
        made[name] = Path(value) if "Path" in kind and value is not None else value
    return config(**made)
