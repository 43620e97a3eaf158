"""One training at a time, begun on the page: the same command, and the same run folder, as from a terminal.

What is learned from lies in `data/NAME` beside the run `NAME`; `training.json` says what is going on. A tab
that is closed stops nothing, and a page that is started again goes on with it.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from translate.config import UserError
from translate.inference.catalog import HERE
from translate.ui.words import W

LARGEST = 2 << 30  # bytes of all that a training learns from
SPARE = 1 << 30  # bytes that stay free on the disk
TRIED = 6  # updates that are timed
PATIENCE = 60.0  # seconds in which a training that is asked to stop saves its state
WATCHED = ("--preview-every", "100", "--log-every", "10")
NAME = re.compile(r"[a-z0-9][\w-]{0,39}", re.IGNORECASE)
STATES = ("running", "paused", "finished", "failed")


@dataclass(frozen=True)
class Lesson:
    """Something that can be learned from the page, with flags like those of shipped models."""

    title: str
    task: str
    kind: str  # of data
    sides: tuple[str, ...]  # what is dropped, one place each
    least: tuple[int, ...]  # pictures
    flags: str
    seen: tuple[int, int]  # pictures seen after which results were worth a look, at least and at most

    def places(self, folder: Path) -> list[str]:
        """The flags that name the data in `folder`; one zip stands for the pictures of its side."""
        found = []
        for side in "ab"[: len(self.sides)]:
            files = sorted((folder / side).iterdir())
            alone = files[0].suffix.lower() == ".zip" or self.least["ab".index(side)] == 1
            found.append(str(files[0] if len(files) == 1 and alone else folder / side))
        return ["--a", found[0], "--b", found[1]] if len(found) == 2 else ["--data", found[0]]

    def batch(self) -> int:
        return int(self.flags.partition("--batch-size ")[2].split()[0])

    def steps(self, count: int) -> int:
        """Updates that a set of `count` pictures is worth: 200 rounds, within `seen`."""
        least, most = self.seen
        return max(1, min(most, max(least, 200 * count)) // self.batch())


TRANSLATOR = "--generator resnet6 --channels 32 --upsample resize --ema 0.995 --lr-schedule linear"
LESSONS = {
    "collections": Lesson(
        W.trainer.collections, "cyclegan", "unpaired",
        (W.trainer.to_begin_with, W.trainer.to_become), (8, 8),
        f"--size 128 --batch-size 1 --discriminator projected --objective hinge {TRANSLATOR}", (1500, 12_000),
    ),
    "painting": Lesson(
        W.trainer.painting, "cut", "unpaired",
        (W.trainer.to_begin_with, W.trainer.the_painting), (8, 1),
        f"--size 128 --resize crop --batch-size 1 {TRANSLATOR}", (2000, 6500),
    ),
    "pairs": Lesson(
        W.trainer.pairs, "pix2pix", "paired",
        (W.common.before, W.trainer.after_under_the_same_names), (8, 8),
        "--size 128 --batch-size 1 --generator unet128 --channels 32 --lr-schedule linear", (2000, 40_000),
    ),
    "captions": Lesson(
        W.trainer.captions, "df_gan", "captions",
        (W.trainer.pictures_and_texts,), (64,),
        "--size 64 --batch-size 32 --channels 32 --discriminator projected --ema 0.995 --text-steps 1000",
        (60_000, 200_000),
    ),
    "enlarge": Lesson(
        W.trainer.enlarge, "srgan", "lowres", (W.trainer.sharp_pictures,), (8,),
        "--size 96 --batch-size 8 --ema 0.999 --lr-schedule cosine", (8000, 160_000),
    ),
    "noise": Lesson(
        W.trainer.noise, "dcgan", "images", (W.trainer.pictures_of_one_kind,), (64,),
        "--size 64 --batch-size 32 --channels 32 --ema 0.999", (60_000, 400_000),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Training:
    """What `training.json` holds."""

    name: str
    command: list[str]  # after `python`
    state: str = "running"
    pid: int = 0
    began: float = 0.0  # of that process, as the system tells: numbers are used again
    words: str = ""  # why it failed

    @property
    def shown(self) -> str:
        """The command, ready to be pasted."""
        return shlex.join(["python", *self.command])


class Trainer:
    """Begins, pauses, goes on with and ends the one training of `root`. Every refusal is a UserError."""

    def __init__(self, root: Path):
        self.root, self.file = root, root / "training.json"
        self.lock = threading.RLock()
        self.process: subprocess.Popen | None = None

    # --- what is learned from -------------------------------------------------------------------------------

    def gather(self, lesson: Lesson, sides: list[list[str]], folder: Path) -> None:
        """Copies of what was dropped, in `folder/a` and `folder/b`."""
        size = sum(os.path.getsize(path) for side in sides for path in side)
        if size > LARGEST:
            raise UserError(W.trainer.too_large.format(size=size / 1e9, most=LARGEST / 1e9))
        self.root.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.root).free < size + SPARE:
            raise UserError(W.trainer.disk_is_full)
        for side, least, label, paths in zip("ab", lesson.least, lesson.sides, sides, strict=False):
            zips = [path for path in paths if path.lower().endswith(".zip")]
            if zips and len(paths) > 1:
                raise UserError(W.trainer.zip_or_pictures.format(label=label))
            if least == 1 and len(paths) != 1:
                raise UserError(W.trainer.one_picture.format(label=label, count=len(paths)))
            if not zips and len(paths) < least:
                raise UserError(W.trainer.too_few_files.format(label=label, least=least, count=len(paths)))
            place = folder / side
            place.mkdir(parents=True)
            for path in paths:
                name, number = Path(path).name, 1
                while (place / name).exists():
                    number += 1
                    name = f"{Path(path).stem}-{number}{Path(path).suffix}"
                shutil.copy(path, place / name)

    def look(self, lesson: Lesson, folder: Path):
        """What training would find there: a `datasets.report.Report`."""
        from datasets.base import DataError
        from datasets.report import report

        flags = lesson.places(folder)
        given = dict(zip((flag[2:] for flag in flags[::2]), flags[1::2], strict=True))
        try:
            if "data" in given:
                return report(given["data"], kind=lesson.kind)
            return report("", a=given["a"], b=given["b"], kind=lesson.kind)
        except DataError as error:
            raise UserError(str(error).replace(f"{folder}/", "")) from None

    def pace(self, lesson: Lesson, folder: Path, job=None) -> float:
        """Seconds an update takes here: of a few of this very training, in a folder that goes away."""
        scratch = folder / "tried"
        command = self.command(lesson, folder, scratch, TRIED)[: -len(WATCHED)]
        command += ["--log-every", "1", "--preview-every", "0", "--no-doctor"]
        process = subprocess.Popen(
            [sys.executable, *command], cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        output: list[str] = []
        reader = threading.Thread(target=lambda: output.extend(process.stdout), daemon=True)
        reader.start()
        try:
            while process.poll() is None:
                if job is not None:
                    job.tell(None, W.trainer.a_few_updates)
                    job.check()
                time.sleep(0.2)
            reader.join()
            if process.returncode:
                raise UserError(failure(output).replace(f"{folder}/", ""))
            times = [json.loads(line)["time"] for line in (scratch / "logs.jsonl").read_text().splitlines()]
            return max(times[-1] - times[0], 0.1) / (len(times) - 1)
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(scratch, ignore_errors=True)

    # --- the training ---------------------------------------------------------------------------------------

    def command(self, lesson: Lesson, data: Path, output: Path, steps: int) -> list[str]:
        flags = [*lesson.flags.split(), "--steps", str(steps), "--output", str(output)]
        return ["train.py", "--task", lesson.task, *lesson.places(data), *flags, *WATCHED]

    def now(self) -> Training | None:
        """The newest training, as it is; None where the page began none."""
        with self.lock:
            try:
                found = Training(**json.loads(self.file.read_text()))
            except (OSError, ValueError, TypeError):
                return None
            if found.state != "running" or self.alive(found):
                return found
            finished = self.updates(found.name) >= int(found.command[found.command.index("--steps") + 1])
            words = "" if finished else failure(self.console(found.name))
            return self.note(replace(found, state="finished" if finished else "failed", words=words))

    def begin(self, lesson: Lesson, name: str, gathered: Path, steps: int) -> Training:
        with self.lock:
            self.refuse_second()
            if not NAME.fullmatch(name or ""):
                raise UserError(W.trainer.bad_name)
            run, data = self.root / name, self.root / "data" / name
            if run.exists() or data.exists() or name == "data":
                raise UserError(W.trainer.name_taken.format(name=name))
            data.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(gathered, data)
            return self.launch(Training(name, self.command(lesson, data, run, max(1, int(steps)))))

    def go_on(self) -> Training:
        with self.lock:
            self.refuse_second()
            found = self.now()
            if found is None or found.state == "finished":
                raise UserError(W.trainer.nothing_paused)
            return self.launch(found)

    def refuse_second(self) -> None:
        found = self.now()
        if found and found.state == "running":
            raise UserError(W.trainer.one_at_a_time.format(name=found.name))

    def pause(self) -> Training:
        return self.end("paused")

    def stop(self) -> Training:
        """For good; the model is used as it is."""
        return self.end("finished")

    def end(self, state: str) -> Training:
        """Ask the process to save and end. A training that is just starting has nothing to save."""
        with self.lock:
            found = self.now()
            if found is None or found.state not in ("running", "paused"):
                raise UserError(W.trainer.nothing_running)
            self.terminate(found)
            return self.note(replace(found, state=state))

    def recover(self) -> None:
        """At the start of the page: go on with what was running when it ended."""
        with self.lock, contextlib.suppress(OSError, ValueError, TypeError):
            found = Training(**json.loads(self.file.read_text()))
            if found.state == "running" and not self.alive(found):
                self.launch(found)

    def close(self) -> None:
        """At the end of the page: the training saves; the next start goes on with it."""
        with self.lock:
            found = self.now()
            if found and found.state == "running":
                self.terminate(found)

    # --- its process ----------------------------------------------------------------------------------------

    def launch(self, training: Training) -> Training:
        with (self.root / "data" / training.name / "console.txt").open("a") as console:
            self.process = subprocess.Popen(
                [sys.executable, *training.command], cwd=HERE, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
            )  # fmt: skip
        with contextlib.suppress(psutil.Error):
            began = psutil.Process(self.process.pid)
            began.nice(10)  # the page stays quick
            return self.note(
                replace(training, state="running", words="", pid=began.pid, began=began.create_time())
            )
        return self.note(replace(training, state="running", words="", pid=self.process.pid))

    def alive(self, training: Training) -> bool:
        if self.process is not None and self.process.pid == training.pid:
            return self.process.poll() is None
        with contextlib.suppress(psutil.Error):
            other = psutil.Process(training.pid)
            same = abs(other.create_time() - training.began) < 1
            return same and other.status() != psutil.STATUS_ZOMBIE
        return False

    def terminate(self, training: Training) -> None:
        end = time.monotonic() + PATIENCE
        if not self.alive(training):
            return
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(training.pid)
            process.terminate()
            while self.alive(training):
                if time.monotonic() > end:
                    process.kill()
                time.sleep(0.05)

    def note(self, training: Training) -> Training:
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(asdict(training), indent=1))
        part.replace(self.file)
        return training

    def console(self, name: str) -> list[str]:
        with contextlib.suppress(OSError):
            return (self.root / "data" / name / "console.txt").read_text(errors="replace").splitlines()[-40:]
        return []

    def updates(self, name: str) -> int:
        """Of the newest line of its log."""
        with contextlib.suppress(OSError, ValueError, IndexError, KeyError):
            return int(json.loads((self.root / name / "logs.jsonl").read_text().splitlines()[-1])["step"])
        return 0


def failure(lines: list[str]) -> str:
    """The sentence that a command ended with, or its last line."""
    texts = [line.strip() for line in lines if line.strip()]
    errors = [line.removeprefix("error: ") for line in texts if line.startswith("error: ")]
    return (errors or texts or [W.trainer.ended_silently])[-1][:400]
