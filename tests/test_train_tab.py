"""Training from the page: what is dropped, one training at a time, pause, restart; a first own model."""

# ruff: noqa: F811  fixtures come from the other files

import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.test_browser import address, browser, choose, page, result  # noqa: F401
from tests.test_page import models, photo  # noqa: F401
from translate.config import UserError

pytest.importorskip("gradio")

SLEEPS = ["-c", "import time; print('it sleeps', flush=True); time.sleep(60)", "--steps", "9"]
FAILS = ["-c", "import sys; print('noise'); sys.exit('error: the pictures are upside down')", "--steps", "9"]


def pictures(folder, count, size=24):
    folder.mkdir(exist_ok=True)
    random, paths = np.random.default_rng(0), []
    for number in range(count):
        paths.append(str(folder / f"{number}.png"))
        Image.fromarray(random.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(paths[-1])
    return paths


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    from translate.ui.trainer import Trainer

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    trainer = Trainer(tmp_path / "runs")
    yield trainer
    trainer.close()


def held(trainer, tmp_path, monkeypatch, command):
    """A lesson gathered, whose training is `command`."""
    from translate.ui.train import gathered

    monkeypatch.setattr(type(trainer), "command", lambda *_: list(command))
    return gathered(trainer, "enlarge", pictures(tmp_path / "given", 8), None)


def test_what_is_dropped_is_found_and_told(trainer, tmp_path):
    from translate.ui.train import gathered, summary
    from translate.ui.trainer import LESSONS

    given = pictures(tmp_path / "given", 9)
    (tmp_path / "given" / "8.png").write_bytes(b"no picture")
    folder = gathered(trainer, "pairs", given, pictures(tmp_path / "others", 9))
    lesson = LESSONS["pairs"]
    report = trainer.look(lesson, folder)
    assert report.contact_sheet is not None
    assert "8.png" in summary(report) and "Few pictures" in summary(report)
    command = trainer.command(lesson, folder, tmp_path / "out", 7)
    assert command[:3] == ["train.py", "--task", "pix2pix"] and command[-4:-2] != ["--steps", "7"]
    assert [command[command.index(flag) + 1] for flag in ("--a", "--b", "--steps")] == [
        str(folder / "a"), str(folder / "b"), "7",
    ]  # fmt: skip
    one = gathered(trainer, "painting", given, given[:1])
    assert LESSONS["painting"].places(one)[3].endswith("b/0.png"), "one painting is a picture, not a folder"
    archive = tmp_path / "many.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in given[:8]:
            file.write(path, path.rpartition("/")[2])
    whole = gathered(trainer, "enlarge", [str(archive)], None)
    assert LESSONS["enlarge"].places(whole) == ["--data", str(whole / "a" / "many.zip")]
    assert trainer.look(LESSONS["enlarge"], whole).count == 8


@pytest.mark.parametrize(
    ("key", "a", "b", "sentence"),
    [
        ("pairs", 8, 0, "Drop files first: After"),
        ("pairs", 3, 8, "at least 8 files are needed; 3 came"),
        ("painting", 8, 2, "give one picture; 2 came"),
        ("alchemy", 8, 8, "choose what is to be learned"),
        (None, 8, 8, "choose what is to be learned"),
    ],
)
def test_what_cannot_be_learned_from_is_told(trainer, tmp_path, key, a, b, sentence):
    from translate.ui.train import gathered

    sides = pictures(tmp_path / "a", a), pictures(tmp_path / "b", b)
    with pytest.raises(UserError, match=sentence):
        gathered(trainer, key, *sides)
    left = tmp_path / "gradio"
    assert not left.exists() or not [*left.iterdir()], "nothing half gathered stays"


def test_every_lesson_is_a_command_that_training_understands(trainer, tmp_path):
    from translate import arguments
    from translate.ui.train import TABS, gathered
    from translate.ui.trainer import LESSONS

    files = pictures(tmp_path / "given", 64)
    for key, lesson in LESSONS.items():
        folder = gathered(trainer, key, files[: lesson.least[0]], files[: lesson.least[-1]])
        task, config, _ = arguments.parse(trainer.command(lesson, folder, tmp_path / "out", 5)[1:])
        assert task == lesson.task in TABS and config.steps == 5 and config.batch_size == lesson.batch()
        few, many = lesson.steps(8), lesson.steps(100_000)
        assert few * lesson.batch() >= lesson.seen[0] - lesson.batch() and many <= lesson.seen[1]


def test_one_training_at_a_time_is_paused_goes_on_and_is_stopped(trainer, tmp_path, monkeypatch):
    from translate.ui.train import shown
    from translate.ui.trainer import LESSONS

    folder = held(trainer, tmp_path, monkeypatch, SLEEPS)
    for name in ("../up", "", "a b", "data", "x" * 41):
        with pytest.raises(UserError, match="a name is|already"):
            trainer.begin(LESSONS["enlarge"], name, folder, 9)
    first = trainer.begin(LESSONS["enlarge"], "mine", folder, 9)
    assert first.state == "running" and (tmp_path / "runs" / "data" / "mine" / "a").is_dir()
    for again in (lambda: trainer.begin(LESSONS["enlarge"], "other", folder, 9), trainer.go_on):
        with pytest.raises(UserError, match="mine is in training; one training runs at a time"):
            again()
    assert trainer.pause().state == "paused" == trainer.now().state and not trainer.alive(first)
    assert "Paused" in shown(trainer, trainer.now())["words"]
    second = trainer.go_on()
    assert second.pid != first.pid and trainer.now().state == "running"
    assert trainer.stop().state == "finished" and not trainer.alive(second)
    now = shown(trainer, trainer.now())
    assert "before anything was learned" in now["words"] and not now["ready"], "there is nothing to use"
    with pytest.raises(UserError, match="no training is paused"):
        trainer.go_on()
    with pytest.raises(UserError, match="no training is running"):
        trainer.pause()


def test_a_page_that_is_started_again_goes_on_and_a_lost_page_stops_nothing(trainer, tmp_path, monkeypatch):
    from translate.ui.trainer import LESSONS, Trainer

    folder = held(trainer, tmp_path, monkeypatch, SLEEPS)
    first = trainer.begin(LESSONS["enlarge"], "mine", folder, 9)
    other = Trainer(tmp_path / "runs")  # of a page whose predecessor was killed
    other.recover()
    assert other.now() == first, "it is the same process"
    trainer.close()
    assert not trainer.alive(first)
    again = Trainer(tmp_path / "runs")
    again.recover()
    assert again.now().state == "running" and again.now().pid != first.pid
    again.stop()


def test_why_a_training_failed_is_shown(trainer, tmp_path, monkeypatch):
    from translate.ui.train import shown
    from translate.ui.trainer import LESSONS

    assert "Nothing is in training" in shown(trainer, trainer.now())["words"]
    trainer.begin(LESSONS["enlarge"], "mine", held(trainer, tmp_path, monkeypatch, FAILS), 9)
    end = time.monotonic() + 20
    while trainer.now().state == "running" and time.monotonic() < end:
        time.sleep(0.02)
    assert trainer.now().state == "failed" and trainer.now().words == "the pictures are upside down"
    assert "It stopped:** the pictures are upside down" in shown(trainer, trainer.now())["words"]
    (tmp_path / "runs" / "training.json").write_text("{")
    assert trainer.now() is None, "a damaged note is none"


def test_without_train_there_is_no_such_tab(shelf_of_nothing):
    from translate.ui.page import build
    from translate.ui.trainer import Trainer

    with_it, without = build(shelf_of_nothing, Trainer(shelf_of_nothing.folders[0])), build(shelf_of_nothing)
    named = [{block.elem_id for block in page.blocks.values()} for page in (with_it, without)]
    assert "train-start" in named[0] and "train-start" not in named[1]


@pytest.fixture
def shelf_of_nothing(tmp_path, monkeypatch):
    from translate.ui.shelf import Shelf

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    (tmp_path / "models").mkdir()
    return Shelf([tmp_path / "models"])


def test_from_the_drop_to_the_first_own_translation(page, tmp_path):
    """Real trainings: one of a few updates that is timed, one that is stopped as soon as it has learned."""
    page.set_default_timeout(90_000)
    page.get_by_role("tab", name="Train", exact=True).click()
    page.get_by_label("Pairs: sketch and picture").check()
    page.set_input_files("#train-a input[type=file]", pictures(tmp_path / "a", 8, 128))
    page.set_input_files("#train-b input[type=file]", pictures(tmp_path / "b", 8, 128))
    page.locator("#train-b .file").nth(7).wait_for()
    page.click("#train-look")
    page.get_by_text("8 samples for training").wait_for()
    page.locator("#train-sheet img").wait_for()
    page.locator("#train-ahead").get_by_text("updates of").wait_for()
    page.fill("#train-name input, #train-name textarea", "my-first")
    page.click("#train-start")
    page.locator("#train-status").get_by_text("In training: update").wait_for()
    assert "--task pix2pix" in page.locator("#train-command textarea").input_value()
    page.click("#train-stop")
    page.locator("#train-status").get_by_text("Ready to use").wait_for()
    page.click("#train-use")
    choose(page, "my-first")
    page.set_input_files("#input input[type=file]", photo(tmp_path / "photo.png", (40, 30)))
    result(page, (40, 30))
