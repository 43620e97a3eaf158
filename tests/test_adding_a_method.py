"""docs/adding-a-method.md is run word for word: in a copy of the checkout, with its files written into it."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from tests.children import ROOT

PAGE = (ROOT / "docs" / "adding-a-method.md").read_text()
FILES = dict(re.findall(r"```python\n# (models/\S+)\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Copies of what runs, and the page's files among them."""
    root = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("datasets", "models", "tests", "translate"):
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    for file in ("train.py", "app.py", "pyproject.toml"):
        shutil.copy(ROOT / file, root / file)
    for name, text in FILES.items():
        assert not (root / name).exists(), f"{name} is a method by now: choose another example"
        (root / name).write_text(text)
    return root


def run(checkout, *words: str) -> str:
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [sys.executable, *words], cwd=checkout, env=variables, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_pages_methods_pass_every_test_and_so_does_a_subclass_of_ten_lines(checkout):
    assert sorted(FILES) == ["models/gan/cgan_ls.py", "models/gan/cgan_small.py"]
    code = [line for line in FILES["models/gan/cgan_ls.py"].splitlines() if line.strip()]
    assert len(code) <= 10, "the short one is short"
    files = ("tests/test_every_task.py", "tests/test_architecture.py", "tests/test_config.py")
    printed = run(
        checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", *files, "-k", "cgan_"
    )
    passed = int(re.search(r"(\d+) passed", printed)[1])
    assert passed >= 2 * 10 and "failed" not in printed, printed


def test_the_pages_commands_train_and_use_it(checkout, tmp_path):
    train, sample = (shlex.split(line.replace("RUN", str(tmp_path / "run"))) for line in COMMANDS)
    assert train[0] == sample[0] == "python"
    assert "Use it: python -m translate sample" in run(checkout, *train[1:])
    run(checkout, *sample[1:])
    assert len(list((tmp_path / "run" / "red").glob("000?.png"))) == 4
    assert Image.open(tmp_path / "run" / "red" / "0000.png").size == (16, 16)
    assert list((tmp_path / "run" / "previews").glob("*.png")), "previews, too"
