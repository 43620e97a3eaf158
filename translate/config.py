"""Settings: one flat dataclass; every field is a flag, a JSON or YAML key and a line of --help.

Nothing here imports torch, so `--help` and a mistyped flag are answered at once: the Config class of a method
is read from the source of its file and executed alone. The comment behind a field is its help text
(where a method gives a field another default, an addition to it); a line `# == Title ==` opens a group.
"""

import ast
import dataclasses
import difflib
import inspect
import math
import re
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Objective = Literal["minimax", "non-saturating", "least-squares", "wasserstein", "hinge", "relativistic"]
Penalties = tuple[Literal["none", "r1", "r2", "gradient"], ...]
Translator = Literal["unet256", "unet128", "resnet9", "resnet6"]
Norm = Literal["instance", "batch", "none"]
GameNorm = Literal["none", "batch", "layer", "instance", "spectral", "reference", "virtual"]

METHODS = Path(__file__).resolve().parent.parent / "models"
PLAIN = ("dataclasses", "typing", "pathlib", "translate.config")  # what a Config may import from


RENAMED = {"said": "compressed", "given": "condition"}  # settings of older runs


class UserError(ValueError):
    """A mistake of the user's, told in one sentence: what was expected, what came, what to do."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every training run can set."""

    # == Data ==
    data: str = "birds"  # folder, zip, folder inside a zip, tar shards, Hub data set id, or birds (built in)
    a: str | None = None  # where domain A comes from, instead of a folder inside --data
    b: str | None = None  # where domain B comes from, instead of a folder inside --data
    direction: Literal["AtoB", "BtoA"] = "AtoB"  # which side is the input
    labels_a: bool = False  # domain A holds label maps: no colours mixed, pictures come back in its values
    labels_b: bool = False  # domain B holds label maps
    skip_unpaired: bool = False  # paired data: leave out pictures without a partner
    size: int = 256  # height and width of the training crops, in pixels
    resize: Literal["resize-crop", "scale-crop", "crop", "resize", "pad"] = (
        "resize-crop"  # how pictures become square: resize-crop squashes (as in the papers), scale-crop not
    )
    load_size: int | None = None  # size before the random crop; default 286/256 of --size, as in the papers
    flip: bool = True  # mirror half of the pictures
    color_jitter: float = 0.0  # strength of random brightness, contrast, saturation and hue; 0 is off
    strokes: float = 0.0  # redraw the lines of paired A as a hand would: wobbly, broken; 0 is off, 1 a lot
    scale: Literal[2, 3, 4] = 4  # lowres data: how many times smaller the input is, each way
    shrink: float = 1.0  # lowres data: pictures first made smaller at random, at most so much (LapSRN: 0.5)
    degrade: float = 0.0  # lowres data: blur, noise and JPEG on the input, as from cameras; 0 is off, 1 a lot
    cache: Literal["auto", "on", "off"] = "auto"  # keep decoded pictures in memory (auto: where they fit)
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
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"  # auto: bf16 where the processor has it
    init_from: Path | None = (
        None  # begin with the weights of this run or model folder, where names and shapes fit
    )
    seed: int = 0  # everything random follows from it

    # == Output ==
    output: Path | None = None  # the run's folder; default runs/<task>-<data>
    save_every: int = 1000  # updates between two states to resume from
    save_minutes: float = 10.0  # also save, and preview, when so much time has passed; at first after 1, 2, 4
    keep_states: int = 2  # older states are deleted
    preview_every: int = 500  # updates between two preview pictures; 0 is off
    preview_count: int = 6  # rows of a preview picture
    log_every: int = 50  # updates between two lines of logs.jsonl
    report_to: tuple[str, ...] = ()  # tensorboard, trackio, wandb, ... (Accelerate's trackers)


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
    text_rate: float = 3e-4  # step size of those updates; 1e-3 starts ten times as slowly
    lambda_text: float = 0.0  # weight in G of that encoder's own loss (AttnGAN's DAMSM: 5 on birds); 0: off


@dataclass(frozen=True, kw_only=True)
class GameConfig(RunConfig):
    """What methods with a discriminator D that sees pictures share."""

    # == Game ==
    objective: Objective = "non-saturating"  # the adversarial game
    penalty: Penalties = ("none",)  # regularisers of D, one or several: r1, r2, gradient
    lambda_penalty: float = 10.0  # their weight
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


@dataclass(frozen=True, kw_only=True)
class ChoicesConfig(GameConfig):
    """What games between G and D alone, from noise, can choose; `models/common/choices.py` explains it."""

    # == Choices ==
    n_critic: int = 1  # updates of D for each of G (WGAN: 5); --steps counts those of D
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"  # of both networks
    beta2: float = 0.999  # Adam's second moment
    momentum: float = 0.5  # of sgd
    rate_d: float | None = None  # D's step size; default that of G, --learning-rate
    selective: bool = False  # D learns only where it is wrong, G only where D is right about it
    unroll: int = 0  # updates of D that G looks ahead (Metz et al. 2017: 5)
    norm_g: GameNorm = "none"  # in G: batch, layer, instance, spectral, reference (batch norm), virtual
    norm_d: GameNorm = "none"  # in D, likewise
    minibatch: Literal["none", "stddev", "discrimination"] = "none"  # D compares the pictures of a batch
    clip_weights: float = 0.0  # largest weight of D (WGAN: 0.01); 0 is off
    consistency: float = 0.0  # weight of D's answer staying when the picture is shifted (CR-GAN: 10)
    augment: tuple[
        Literal["color", "translation", "cutout"], ...
    ] = ()  # D sees all pictures so (DiffAugment)
    instance_noise: float = 0.0  # deviation of noise on all that D sees, falling to 0 at the end
    smooth: float = 1.0  # target of real pictures, 0.9 for one-sided smoothing; fakes stay at 0
    label_noise: float = 0.0  # half the width of the range around that target, drawn for each picture
    flip_labels: float = 0.0  # share of pictures that D is told the opposite of
    balanced: bool = False  # every class of the data equally often, within each batch too


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


def config_class(task: str) -> type[RunConfig]:
    """The Config of a method, executed without the rest of its file and hence without torch.

    A Config may inherit from RunConfig or, after `from models.gan import other`, from `other.Config`.
    """
    source = home(task).read_text()
    tree = ast.parse(source)
    namespace: dict = {"__name__": f"config of {task}"}
    declared = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Config")
    used = {n.id for n in ast.walk(declared) if isinstance(n, ast.Name)}
    body: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module in PLAIN:
            body.append(node)
        elif isinstance(node, ast.ImportFrom) and re.fullmatch(r"models\.\w+", node.module or ""):
            for name in node.names:
                if (name.asname or name.name) in used:
                    other = types.SimpleNamespace(Config=config_class(name.name))
                    namespace[name.asname or name.name] = other
        elif isinstance(node, ast.Assign) and {ast.unparse(target) for target in node.targets} & used:
            body.append(node)  # a constant that Config uses
    body.append(declared)
    exec(compile(ast.Module(body=body, type_ignores=[]), f"{task}.py", "exec"), namespace)
    # Whole lines: a node of the syntax tree ends before the comment behind it.
    namespace["Config"].source = "\n".join(source.split("\n")[declared.lineno - 1 : declared.end_lineno])
    return namespace["Config"]


def described(config: type[RunConfig]) -> dict[str, tuple[str, str]]:
    """Field name -> (group, help text), read from the comments of the class and its parents."""
    found: dict[str, tuple[str, str]] = {}
    for cls in reversed(config.__mro__[:-1]):
        source = cls.__dict__.get("source") or inspect.getsource(cls)
        group, name = method_title(config if cls.__name__ == "Config" else cls), None
        for line in source.split("\n"):
            if heading := re.match(r"\s*# == (.*) ==", line):
                group = heading[1]
            if declared := re.match(r"    (\w+): ", line):
                name = declared[1]
            comment = re.search(r"  # (?!==)(.*)$", line)
            if name and comment:
                home, text = found.get(name, (group, ""))
                found[name] = (home, "; ".join(filter(None, [text, comment[1].strip()])))
                name = None
    return found


def method_title(config: type[RunConfig]) -> str:
    """`CycleGAN` of a Config whose docstring is `CycleGAN (Zhu et al. 2017)`."""
    return (config.__doc__ or "Method").split("(")[0].strip().split("\n")[0].rstrip(".")


def check(config: RunConfig) -> None:
    """Raises UserError for values no run can have."""
    at_least = {
        **dict(
            size=8, steps=1, batch_size=1, accumulate=1, workers=1, save_every=1, keep_states=1, degrade=0.0
        ),
        **dict(
            log_every=1, preview_every=0, preview_count=1, color_jitter=0.0, strokes=0.0, clip=0.0, seed=0
        ),
        **dict(penalty_every=1, lambda_penalty=0.0),
    }
    for name, least in at_least.items():
        if not getattr(config, name, least) >= least:
            flag, value = name.replace("_", "-"), getattr(config, name)
            raise UserError(f"--{flag} {value} is too small; the least is {least}")
    if not 0 <= config.ema < 1:
        raise UserError(f"--ema {config.ema} must be in [0, 1), e.g. 0.999")
    if not 0 < config.learning_rate < math.inf:
        raise UserError(f"--learning-rate {config.learning_rate} must be a number above 0")
    if config.load_size is not None and config.load_size < config.size:
        raise UserError(
            f"--load-size {config.load_size} is below --size {config.size}; "
            "crops cannot be larger than pictures"
        )


def to_json(config: RunConfig) -> dict:
    """The settings as JSON values."""
    values = dataclasses.asdict(config)
    return {
        k: str(v) if isinstance(v, Path) else list(v) if isinstance(v, tuple) else v
        for k, v in values.items()
    }


def from_json(config: type[RunConfig], values: dict) -> RunConfig:
    """The inverse of `to_json`; settings this version does not know raise UserError."""
    known = {f.name: f for f in dataclasses.fields(config)}
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
