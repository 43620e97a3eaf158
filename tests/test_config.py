"""Settings from flags and files, their help, and what a mistyped word is answered."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import time
import typing
from pathlib import Path

import pytest

import datasets
from tests.children import ROOT
from translate import arguments, outline
from translate.config import FORMER, RunConfig, UserError, from_json, to_json
from translate.outline import settings
from translate.task import find, names


def answer(*words, **options) -> tuple[int, str, str]:
    """`train.py WORDS` in a process of its own: exit code, stdout, stderr."""
    done = subprocess.run(
        [sys.executable, "train.py", *map(str, words)], cwd=ROOT, capture_output=True, text=True, **options
    )
    return done.returncode, done.stdout, done.stderr


def parsed(*words) -> RunConfig:
    return arguments.parse([str(word) for word in words])[1]


def refused(capsys, *words) -> str:
    """What tyro says about a bad value, without its frame."""
    with pytest.raises(SystemExit) as stopped:
        parsed(*words)
    assert stopped.value.code == 2
    return " ".join(capsys.readouterr().err.replace("│", " ").split())


# --- help ---


def test_help_lists_the_tasks():
    code, out, _ = answer("--help")
    assert code == 0
    for task in names():
        assert f"\n  {task} " in out
    assert "arXiv 1703.10593" in out


@pytest.mark.parametrize("task", names())
def test_help_of_a_task_shows_every_field_in_groups(task, capsys):
    with pytest.raises(SystemExit) as stopped:
        arguments.parse(["--task", task, "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    said, title = {}, "usage"
    for line in out.splitlines():
        line = line.strip("╭─╮│╰╯- ") if "options" in line else line.strip("│╰╯─ ")
        title = line if line.endswith(" options") else title
        said[title] = f"{said.get(title, '')} {line}"
    known = {setting.name: setting for setting in settings(task)}
    groups = {f"{setting.group} options" for setting in known.values()}  # its own, its parents', shared ones
    assert list(said)[:4] == ["usage", "Data options", "Training options", "Output options"]
    assert set(list(said)[4:]) == groups - set(list(said)[:4])
    assert ("Text options" in groups) == (find(task).data == "captions")
    own = outline.title(find(task).Config.__doc__)
    assert own.lower().startswith(task.split("_")[0])
    assert "--size INT" in said["Data options"] and "--steps INT" in said["Training options"]
    assert "--save-every INT" in said["Output options"]
    for field in dataclasses.fields(find(task).Config):
        flag = "--" + field.name.replace("_", "-")
        group, help_text = known[field.name].group, known[field.name].help
        box = said[f"{group} options"]
        assert help_text, f"{task}: {flag} has no help text"
        default = "none" if field.default in (None, ()) else field.default
        default = " ".join(map(str, default)) if isinstance(default, tuple) else default
        assert re.search(rf"{flag}[, ].*?{re.escape(help_text)} \(default: {default}\)", box), (flag, box)


@pytest.mark.parametrize("task", names())
def test_what_is_read_of_a_config_is_what_it_is(task):
    """Read from the source, without running it: the same fields, types and defaults, in the same order."""
    read, own = settings(task), find(task).Config
    fields = dataclasses.fields(own)
    assert [(s.name, s.default) for s in read] == [(f.name, f.default) for f in fields]
    assert {s.name: s.type for s in read} == typing.get_type_hints(own)
    assert issubclass(own, RunConfig)


@pytest.mark.parametrize("task", names())
def test_options_belong_to_their_kind_of_data(task):
    """A method has the flags of the data it learns from, and no others; `load` takes every one of them."""
    from datasets import options

    assert not FORMER & {field.name for field in dataclasses.fields(RunConfig)}
    own = getattr(options, find(task).data.title())
    fields = {field.name for field in dataclasses.fields(own)}
    config = find(task).Config()
    assert {name for name in vars(config) if name in FORMER} == fields & FORMER
    assert fields <= set(datasets.options_of(config))


def test_older_settings_of_other_kinds_of_data_fall_away(tmp_path):
    """Every method had all of them once; those that were never any are still named."""
    old = {"task": "dcgan", "config": {"size": 32, "strokes": 0.0, "scale": 4, "a": None, "degrade": 0.0}}
    assert from_json(find("dcgan").Config, old["config"]).size == 32
    assert parsed("--config", written(tmp_path / "config.json", old)).size == 32
    with pytest.raises(UserError, match="unknown flag --strokes for --task dcgan"):
        parsed("--task", "dcgan", "--strokes", "1")


@pytest.mark.parametrize("default", ["open('x')", "[x for x in 'ab']", "RunConfig.size"])
def test_more_than_a_setting_may_be(default, tmp_path, monkeypatch):
    """Nothing is run to find out."""
    monkeypatch.setattr("translate.config.METHODS", tmp_path)
    (tmp_path / "gan").mkdir()
    (tmp_path / "gan" / "sly.py").write_text(
        "from translate.config import RunConfig\nclass Config(RunConfig):\n"
        f"    'Sly (2020)'\n    size: int = {default}  # of it\n"
    )
    with pytest.raises(TypeError, match="is more than a setting may be"):
        settings("sly")


def test_a_config_may_build_on_another_and_use_a_constant(tmp_path, monkeypatch):
    monkeypatch.setattr("translate.config.METHODS", tmp_path)
    head = "import torch\nfrom dataclasses import dataclass\n"
    room = tmp_path / "gan"
    room.mkdir()
    (room / "first.py").write_text(
        f"{head}from translate.config import RunConfig\nWIDTH = 5\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Config(RunConfig):\n    '''First (2017)'''\n\n"
        "    width: int = WIDTH  # of a layer\n    steps: int = 7  # seven days\n"
    )
    (room / "second.py").write_text(
        f"{head}from models.gan import first\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Config(first.Config):\n    '''Second (2018)'''\n\n"
        "    width: int = 6\n    depth: int = 2  # layers\n"
    )
    known = {setting.name: setting for setting in settings("second")}
    assert [known[name].default for name in ("width", "depth", "steps")] == [6, 2, 7]
    said = {name: (setting.group, setting.help) for name, setting in known.items()}
    assert said["width"] == ("Second", "of a layer"), "in the method's own box"
    assert said["depth"] == ("Second", "layers")
    assert said["steps"] == ("Training", "updates in all; seven days")


# --- mistakes ---

QUICK = """
import runpy, sys
sys.argv = ["train.py", *sys.argv[1:]]
try:
    runpy.run_path("train.py", run_name="__main__")
finally:
    slow = {"torch", "accelerate", "torchvision", "transformers", "gradio", "models"} & set(sys.modules)
    print("imported:", *sorted(slow))
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--task", "cyclgan"], "unknown task 'cyclgan', did you mean cyclegan? The tasks are: "),
        (
            ["--task", "cyclegan", "--batchsize", "4"],
            "unknown flag --batchsize for --task cyclegan, did you me",
        ),
        (["--task", "vae", "--help"], ""),
    ],
)
def test_mistakes_and_help_are_answered_at_once(words, expected):
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", QUICK, *words], cwd=ROOT, capture_output=True, text=True)
    assert time.perf_counter() - start < 10  # it takes 0.3 s, on a quiet machine
    assert done.stdout.splitlines()[-1] == "imported:"
    assert "Traceback" not in done.stderr
    if expected:
        assert done.returncode == 2 and done.stderr.startswith(f"error: {expected}")
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "--task is missing; the tasks are: "),
        (["--task"], "--task needs a value"),
        (["--task", "vae", "--latnet", "3"], "did you mean --latent?"),
        (["--task", "vae", "-size", "3"], "did you mean --size?"),
        (["--task", "vae", "--dry"], "did you mean --dry-run?"),
        (["--task", "vae", "--no-size"], "unknown flag --no-size"),
        (["--task", "vae", "--flip", "no"], "--flip takes no value: say --flip or --no-flip"),
        (["--task", "vae", "--no-flip=1"], "--no-flip takes no value: say --flip or --no-flip"),
        (["--task", "vae", "--steps", "0"], "--steps 0 is too small; the least is 1"),
        (["--task", "vae", "--clip", "-1"], "--clip -1.0 is too small; the least is 0"),
        (["--task", "vae", "--ema", "1"], "--ema 1.0 must be in [0, 1), e.g. 0.999"),
        (["--task", "vae", "--learning-rate", "nan"], "--learning-rate nan must be a number above 0"),
        (["--task", "vae", "--load-size", "32"], "--load-size 32 is below --size 64"),
        (["--task", "vae", "--config", "/no/such.json"], "--config /no/such.json: No such file"),
    ],
)
def test_a_mistake_is_one_sentence(words, expected):
    with pytest.raises(UserError) as refusal:
        arguments.parse(words)
    assert expected in str(refusal.value)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--size", "abc"], "--size: expected a whole number, got 'abc'"),
        (["--size", "1.5"], "--size: expected a whole number, got '1.5'"),
        (["--load-size", "big"], "--load-size: expected a whole number, got 'big'"),
        (["--ema", "much"], "--ema: expected a number, got 'much'"),
        (["--lr-schedule", "cosinus"], "Expected one of ('constant', 'linear', 'cosine')"),
        (["--size"], "Missing value for argument '--size'"),
        (["stray"], "Unrecognized options: stray"),
    ],
)
def test_a_bad_value_is_named(words, expected, capsys):
    assert expected in refused(capsys, "--task", "vae", *words)


def test_a_mistake_on_the_command_line_has_no_traceback():
    for words in (["--task", "vae", "--size", "abc"], ["--task", "vae", "--steps", "0"]):
        code, _, err = answer(*words)
        assert code == 2 and "Traceback" not in err


@pytest.mark.parametrize("words", [["--help"], ["--task", "vae", "--help"]])
def test_help_into_a_closed_pipe_is_silent(words):
    """`--help | head` where head has left before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "train.py", *words], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert done.stderr == "" and done.returncode == 141


# --- settings files ---


def written(path: Path, text) -> Path:
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def test_flags_win_over_a_file(tmp_path):
    file = written(
        tmp_path / "a.yaml", "task: cyclegan\nsize: 64\nlearning-rate: 1e-3\nflip: off\npatch: 16\n"
    )
    task, config, dry = arguments.parse(["--config", str(file), "--size", "32", "--dry-run"])
    assert task == "cyclegan" and dry
    assert (config.size, config.learning_rate, config.flip, config.patch) == (32, 1e-3, False, "16")
    assert (
        arguments.parse(["--task", "vae", f"--config={written(tmp_path / 'b.json', {'size': 16})}"])[0]
        == "vae"
    )
    assert parsed("--flip", "--config", file).flip


def test_words_that_yaml_reads_as_truth_values(tmp_path):
    file = written(tmp_path / "a.yml", "task: vae\nmixed_precision: no\ncache: on\nreport_to: tensorboard\n")
    config = parsed("--config", file)
    assert (config.mixed_precision, config.cache, config.report_to) == ("no", "on", ("tensorboard",))


@pytest.mark.parametrize("task", names())
def test_a_runs_config_json_is_a_settings_file(task, tmp_path):
    config = dataclasses.replace(
        find(task).tiny(),
        output=tmp_path / "a run",
        load_size=40,
        report_to=("tensorboard", "wandb"),
        init_from=Path("-x"),
    )
    facts = {"task": task, "config": to_json(config), "info": {}, "steps": 3}
    name, again, _ = arguments.parse(["--config", str(written(tmp_path / "config.json", facts))])
    assert name == task and vars(again) == vars(config)
    empty = dataclasses.replace(config, load_size=None, report_to=(), init_from=None)
    facts["config"] = to_json(empty)
    again = parsed("--config", written(tmp_path / "config.json", facts))
    assert vars(again) == vars(empty)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.json", '{"sise": 3}', "unknown setting 'sise', did you mean size?"),
        ("a.yaml", "latent_: 3", "unknown setting 'latent_', did you mean latent?"),
        ("a.json", "{", "neither JSON nor YAML"),
        ("a.yaml", "a: [1", "neither JSON nor YAML"),
        ("a.yaml", "- 3", "must hold names and values, e.g. `size: 128`; found list"),
        ("a.yaml", "", "must hold names and values"),
        ("a.yaml", "flip: maybe", "takes no value"),
    ],
)
def test_a_bad_settings_file_is_named(tmp_path, name, text, expected):
    file = written(tmp_path / name, text)
    with pytest.raises(UserError) as refusal:
        parsed("--task", "vae", "--config", file)
    assert expected in str(refusal.value)
    assert str(file) in str(refusal.value) or "flip" in str(refusal.value)


def test_a_bad_value_in_a_settings_file_says_where_it_may_come_from(tmp_path, capsys):
    file = written(tmp_path / "a.json", {"size": "abc"})
    said = refused(capsys, "--task", "vae", "--config", file)
    assert "expected a whole number, got 'abc'" in said and str(file) in said


def test_settings_of_another_version_are_named():
    with pytest.raises(UserError, match="'sizes', unknown here, did you mean size?"):
        from_json(find("vae").Config, {"sizes": 3})


# --- names and the dry run ---


@pytest.mark.parametrize(
    ("words", "folder"),
    [
        ([], "runs/cyclegan-birds"),
        (["--data", "birds:100"], "runs/cyclegan-birds-100"),
        (["--data", "/somewhere/horse2zebra/"], "runs/cyclegan-horse2zebra"),
        (["--data", "photos.zip"], "runs/cyclegan-photos"),
        (["--a", "x/emoji.zip/train/noto", "--b", "x/emoji.zip/train/twemoji"], "runs/cyclegan-noto-twemoji"),
        (["--output", "here"], "here"),
    ],
)
def test_the_default_output_folder(words, folder):
    assert parsed("--task", "cyclegan", *words).output == Path(folder)


def test_a_dry_run_does_not_print_whole_vocabularies(trainer, tmp_path):
    flags = "--task df_gan --data birds:4 --size 32 --channels 4 --batch-size 2 --dry-run"
    code, printed = trainer.run(*flags.split(), "--output", tmp_path / "run")
    assert code == 0, printed
    assert "vocabulary = [PAD], [UNK], [CLS], a, b, c, d, e, ... (" in printed and "##z" not in printed


def test_dry_run_shows_everything_and_writes_nothing(trainer, tiny_cyclegan, tmp_path):
    code, printed = trainer.run(*tiny_cyclegan, "--output", tmp_path / "run", "--dry-run")
    assert code == 0, printed
    assert "  size = 16\n" in printed and "  ema = 0.9\n" in printed
    counts = dict(re.findall(r"\n  (\w+) +([0-9.]+) M parameters", printed))
    assert (
        set(counts) == {"G", "F", "D_X", "D_Y"} and counts["G"] == counts["F"] == "0.032"
    )  # 6 blocks, width 4
    assert "memory, estimated: 0." in printed and "  count = 7\n" in printed and "kind = unpaired" in printed
    assert list(tmp_path.iterdir()) == []
