"""python -m translate: what is typed, what comes out, what is said."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from translate import __main__
from translate.cli import exit_code
from translate.inference import catalog, sixteen
from translate.task import DataInfo, find
from translate.training.checkpoint import write_model

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    for task, kind, channels in (("cyclegan", "unpaired", ("a", "b")), ("dcgan", "images", ("image",))):
        Task = find(task)
        info = DataInfo(kind=kind, name="somewhere", count=3, channels=dict.fromkeys(channels, 3))
        write_model(root / f"tiny-{task}", Task(Task.tiny(), info), 1234)
    return root


@pytest.fixture
def run(models, monkeypatch, capsys):
    """run("image", ...) -> (exit code, stdout, stderr)"""
    monkeypatch.setattr(catalog, "roots", lambda: [models])

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["translate", *map(str, words)])
        code = exit_code(__main__.main)
        return code, *capsys.readouterr()

    return command


def picture(path, size=(24, 16), colour="red", mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


def test_one_picture_to_a_file_and_to_a_folder(run, tmp_path):
    source = picture(tmp_path / "a.jpg")
    assert run("image", source, "--model", "tiny-cyclegan", "--output", tmp_path / "b.webp")[0] == 0
    with Image.open(tmp_path / "b.webp") as image:
        assert image.size == (24, 16) and image.format == "WEBP"
    code, out, _ = run("image", source, "--model", "tiny-cyclegan", "--output", tmp_path / "new" / "folder")
    assert code == 0 and Image.open(tmp_path / "new" / "folder" / "a.jpg").format == "JPEG"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jpg", "b.webp", "new"], (
        "no partial files are left"
    )


def test_folders_and_globs_keep_their_structure_and_a_sensible_format(run, tmp_path):
    for name in (
        "in/a.png",
        "in/deep/b.gif",
        "in/.hidden.png",
        "in/out/earlier.png",
        "more/c.jpeg",
        "more/d.txt",
    ):
        if name.endswith("txt"):
            (tmp_path / name).write_text("notes")
        else:
            picture(tmp_path / name)
    out = tmp_path / "in" / "out"
    code, said, _ = run(
        "image", tmp_path / "in", tmp_path / "more" / "*.j*", "--model", "tiny-cyclegan", "--output", out
    )
    assert code == 0 and "3 pictures in" in said
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.*")) == [
        "a.png",
        "c.jpeg",
        "deep/b.png",
        "earlier.png",
    ]


def test_bad_files_are_listed_at_the_end_and_the_rest_is_done(run, tmp_path):
    picture(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "text.png").write_text("not a picture")
    (tmp_path / "in" / "cut.jpg").write_bytes(picture(tmp_path / "x.jpg", (200, 200)).read_bytes()[:-100])
    code, said, failed = run(
        "image", tmp_path / "in", "--model", "tiny-cyclegan", "--output", tmp_path / "out"
    )
    assert code == 1 and "1 picture in" in said
    assert (
        "2 of 3 pictures failed" in failed
        and "text.png holds text" in failed
        and "cut.jpg is damaged" in failed
    )
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good.png"]
    code, _, failed = run(
        "image", tmp_path / "in/text.png", "--model", "tiny-cyclegan", "--output", tmp_path / "o.png"
    )
    assert code == 2 and failed.startswith("error: ") and failed.count("\n") == 1


def test_nothing_is_overwritten_without_being_asked(run, tmp_path):
    source, target = picture(tmp_path / "a.png"), tmp_path / "b.png"
    target.write_text("precious")
    command = ("image", source, "--model", "tiny-cyclegan", "--output", target)
    code, _, said = run(*command)
    assert code == 2 and "exists; --overwrite" in said and target.read_text() == "precious"
    assert run(*command, "--overwrite")[0] == 0 and Image.open(target).size == (24, 16)
    before = source.read_bytes()
    for folder in (tmp_path, source):
        code, _, said = run("image", source, "--model", "tiny-cyclegan", "--output", folder, "--overwrite")
        assert code == 2 and "would replace the picture it is made from" in said
    assert source.read_bytes() == before


def test_two_inputs_for_one_output_are_refused_before_any_work(run, tmp_path):
    picture(tmp_path / "a" / "x.png")
    picture(tmp_path / "b" / "x.png")
    code, _, said = run(
        "image", tmp_path / "a", tmp_path / "b", "--model", "tiny-cyclegan", "--output", tmp_path / "out"
    )
    assert code == 2 and "would both become" in said and not (tmp_path / "out").exists()
    picture(tmp_path / "c" / "x.png")
    code, _, said = run(
        "image", tmp_path / "a/x.png", tmp_path / "c", "--model", "tiny-cyclegan", "--output", "o.png"
    )
    assert code == 2 and "must be a folder" in said


def test_direction_alpha_and_sixteen_bits(run, tmp_path):
    clear = picture(tmp_path / "clear.png", colour=(255, 0, 0, 90), mode="RGBA")
    for name, words in (("there", []), ("back", ["--direction", "BtoA"]), ("flat", ["--no-keep-alpha"])):
        assert (
            run("image", clear, "--model", "tiny-cyclegan", "--output", tmp_path / f"{name}.png", *words)[0]
            == 0
        )
    there, back, flat = (Image.open(tmp_path / f"{name}.png") for name in ("there", "back", "flat"))
    assert there.mode == "RGBA" and there.getpixel((3, 3))[3] == 90 and flat.mode == "RGB"
    assert there.tobytes() != back.tobytes()
    deep = tmp_path / "deep.png"
    deep.write_bytes(sixteen.png(np.full((20, 20, 3), 1000, np.uint16), None))
    assert run("image", deep, "--model", "tiny-cyclegan", "--output", tmp_path / "deep-out.png")[0] == 0
    assert (tmp_path / "deep-out.png").read_bytes()[24] == 16


@pytest.mark.parametrize(
    "words,said",
    [
        (["imag"], "did you mean image"),
        (["image", "x.png", "--modl", "m"], "did you mean --model"),
        (["image", "--model", "tiny-cyclegan", "--output", "o"], "no pictures given"),
        (["image", "absent.png", "--model", "tiny-cyclegan", "--output", "o"], "absent.png does not exist"),
        (["image", "no-*.png", "--model", "tiny-cyclegan", "--output", "o"], "matches no file"),
        (["image", "empty", "--model", "tiny-cyclegan", "--output", "o"], "holds no pictures"),
        (["image", "a.png", "--model", "tiny-cyclegn", "--output", "o"], "did you mean tiny-cyclegan"),
        (["image", "a.png", "--model", "tiny-cyclegan", "--output", "o.gif"], "file types written"),
        (
            ["image", "a.png", "--model", "tiny-cyclegan", "--output", "o", "--direction", "BtoC"],
            "did you mean BtoA",
        ),
        (["image", "a.png", "--model", "tiny-cyclegan", "--output", "o", "--device", "tpu9"], "device"),
        (
            ["image", "a.png", "--model", "tiny-cyclegan", "--output", "o", "--work-size", "-1"],
            "--work-size -1",
        ),
        (["image", "a.png", "--model", "tiny-cyclegan", "--output", "a.png/o.png"], "cannot be written"),
        (["image", "a.png", "--model", "tiny-cyclegan", "--output", "o", "--brush", "9"], "0.4 to 2.5"),
        (["image", "a.png", "--model", "tiny-cyclegan", "--output", "o", "--strength", "0.5"], "--brush 1"),
        (["image", "a.png", "--model", "tiny-dcgan", "--output", "o"], "python -m translate sample"),
        (["sample", "--model", "tiny-cyclegan", "--output", "o"], "python -m translate image"),
        (["sample", "--model", "tiny-dcgan", "--output", "o", "--count", "0"], "--count 0"),
        (["data", "absent-folder"], "absent-folder"),
        (["data", "birds", "--output", "sheet.jpg"], "must end in .png"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(run, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    picture(Path("a.png"))
    Path("empty").mkdir()
    code, _, error = run(*words)
    assert code == 2 and error.startswith("error: ") and said in error and error.count("\n") == 1
    assert not Path("o").exists()


def test_a_style_by_brush_and_strength(run, models, tmp_path):
    from translate.inference import images, painting
    from translate.inference.pipeline import Pipeline

    source, random = tmp_path / "a.png", np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(source)
    words = ("image", source, "--model", "tiny-cyclegan", "--output", tmp_path / "b.png")
    assert run(*words, "--precision", "fp32", "--brush", 2.5, "--strength", 0.75)[0] == 0
    pipeline, given = Pipeline.from_pretrained(models / "tiny-cyclegan", "cpu", "fp32"), images.decode(source)
    small = painting.paint(pipeline, given, 26)  # 4 * 16 / 2.5, longer side
    wanted = painting.whole(small, given, None, 0.75).tensor[0].permute(1, 2, 0).add(1).mul(127.5).numpy()
    assert small.size == (26, 20) and np.abs(np.asarray(Image.open(tmp_path / "b.png")) - wanted).max() < 2
    assert run(*words, "--overwrite")[0] == 0
    assert np.abs(np.asarray(Image.open(tmp_path / "b.png")) - wanted).mean() > 5, "painted at full size"


def test_sample_writes_pictures_and_a_grid(run, tmp_path):
    command = ("sample", "--model", "tiny-dcgan", "--count", "5", "--seed", "3", "--output")
    assert run(*command, tmp_path / "one")[0] == run(*command, tmp_path / "two")[0] == 0
    names = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert names == ["0000.png", "0001.png", "0002.png", "0003.png", "0004.png", "grid.png"]
    assert all((tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes() for n in names)
    assert Image.open(tmp_path / "one" / "grid.png").size == (3 * 16 + 4, 2 * 16 + 2)
    code, _, said = run(*command, tmp_path / "one")
    assert code == 2 and "0000.png exists" in said


def test_models_lists_what_there_is(run, models, monkeypatch):
    code, out, _ = run("models")
    assert code == 0 and len(out.splitlines()) == 2
    assert all(word in out for word in ("tiny-cyclegan", "cyclegan", "16 px", "1,234 steps", "run"))
    monkeypatch.setattr(catalog, "roots", lambda: [models / "none"])
    assert "train one" in run("models")[1]


def test_data_reports_and_writes_a_contact_sheet(run, tmp_path):
    for i in range(3):
        picture(tmp_path / "data" / f"{i}.png", colour=(i * 80, 0, 0))
    code, out, _ = run("data", tmp_path / "data", "--output", tmp_path / "sheet.png")
    assert code == 0 and "3" in out and Image.open(tmp_path / "sheet.png").format == "PNG"


def test_ctrl_c_is_one_line(run, tmp_path, monkeypatch):
    from translate.inference.pipeline import Pipeline

    for i in range(3):
        picture(tmp_path / "in" / f"{i}.png")
    translate, calls = Pipeline.translate, []

    def interrupted(self, *args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return translate(self, *args, **options)

    monkeypatch.setattr(Pipeline, "translate", interrupted)
    code, _, said = run("image", tmp_path / "in", "--model", "tiny-cyclegan", "--output", tmp_path / "out")
    assert code == 130 and said.strip() == "stopped after 1 of 3 pictures"
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["0.png"]


def test_mistakes_are_answered_without_torch_in_under_a_second():
    code = (
        "import runpy, sys; sys.argv = ['translate', 'image', 'x.png', '--modle', 'y']\n"
        "try: runpy.run_module('translate', run_name='__main__')\n"
        "except SystemExit as stop: print(stop.code, 'torch' in sys.modules)"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    seconds = time.monotonic() - start
    assert done.stdout.strip() == "2 False" and "did you mean --model" in done.stderr
    assert seconds < 3, "0.1 s when the machine is idle"


def test_as_typed(models, tmp_path):
    source = picture(tmp_path / "photo.jpg", (50, 40))
    words = ["image", source, "--model", models / "tiny-cyclegan", "--output", tmp_path / "out.png"]
    command = [sys.executable, "-m", "translate", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.strip() == str(tmp_path / "out.png"), done.stderr
    assert Image.open(tmp_path / "out.png").size == (50, 40)
