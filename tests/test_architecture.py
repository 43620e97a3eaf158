"""Who may import whom, and a few rules that keep files readable."""

import ast
import functools
import re
from pathlib import Path

import pytest

from translate.config import home
from translate.task import names

ROOT = Path(__file__).resolve().parent.parent
OURS = {"app", "benchmarks", "datasets", "models", "tests", "train", "translate"}
SOURCES = sorted(
    path
    for path in ROOT.rglob("*.py")
    if not any(part.startswith(".") or part in ("venv", "build") for part in path.relative_to(ROOT).parts)
)


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def imported(path: Path, everywhere: bool = True) -> frozenset[str]:
    """Dotted names a file imports (or only at once): `from models.gan import dcgan` is models.gan.dcgan."""
    found = set()
    for node in ast.walk(tree(path)) if everywhere else tree(path).body:
        found |= names_in(node, path)
    return frozenset(found)


def names_in(node: ast.AST, path: Path) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{path} has a relative import"
        return {f"{node.module}.{alias.name}" for alias in node.names}
    return set()


def of_ours(path: Path) -> set[str]:
    return {name for name in imported(path) if name.split(".")[0] in OURS}


def within(folder: str) -> list[Path]:
    return [path for path in SOURCES if path.is_relative_to(ROOT / folder)]


def test_all_packages_are_seen():
    for folder in ("datasets", "models", "models/common", "translate", "translate/ui", "tests"):
        assert len(within(folder)) > 1, folder


def test_datasets_import_nothing_of_ours_but_the_door_for_pictures():
    door = {"translate.inference.decoding", "translate.inference.files.READABLE"}
    for path in within("datasets"):
        assert all(name.startswith("datasets") or name in door for name in of_ours(path)), path


def test_pictures_come_through_one_door():
    """No other file opens pictures; benchmarks and tests look at results with what others have."""
    for path in [*within("datasets"), *within("translate"), *within("models")]:
        opens = "Image.open(" in path.read_text()
        assert not opens or path == ROOT / "translate" / "inference" / "decoding.py", path


def test_models_common_imports_settings_and_the_task_alone():
    allowed = ("models.common", "translate.config.", "translate.task.", "translate.reading.")
    for path in within("models/common"):
        assert all(name.startswith(allowed) for name in of_ours(path)), path


@pytest.mark.parametrize("task", names())
def test_a_method_imports_what_methods_may(task):
    """Its data's options, common layers, the Task and Config it is made of, methods its paper builds on."""
    allowed = ("datasets.options.", "models.common.", "translate.task.", "translate.config.")
    others = {f"models.{home(name).parent.name}.{name}" for name in names() if name != task}
    for name in of_ours(home(task)):
        assert name.startswith((*allowed, *others)) or name == "models.common", f"{task} imports {name}"


def test_names_of_methods_are_unique():
    assert len(set(names())) == len(names())


def test_methods_do_not_import_each_other_in_circles():
    graph = {}
    for task in names():
        used = {name.split(".")[2] for name in of_ours(home(task)) if name.startswith("models.")}
        graph[task] = used & set(names())

    def ancestors(task: str, path: tuple[str, ...] = ()) -> None:
        assert task not in path, f"models import each other: {path} -> {task}"
        for other in graph[task]:
            ancestors(other, (*path, task))

    for task in graph:
        ancestors(task)


def test_translate_imports_no_data_no_page_and_no_method():
    entry_points = {
        ROOT / "translate" / "__main__.py",
        ROOT / "translate" / "judging.py",
        *within("translate/commands"),
        *within("translate/figures/lectures"),
        *within("translate/ui"),
    }
    for path in within("translate"):
        roots = {name.split(".")[0] for name in imported(path)}
        used = {name for name in imported(path) if name.startswith("models")}
        rooms = ("metrics", "figures/lectures")  # judges are networks, too; lectures are about what is common
        if any(path.is_relative_to(ROOT / "translate" / room) for room in rooms):
            used = {name for name in used if not name.startswith("models.common")}
        assert not used, path
        if path not in entry_points:
            assert not roots & {"datasets", "gradio"}, path


ROOMS = {"inference", "training", "metrics", "figures", "ui"}  # of translate/


def room_of(path: Path) -> str:
    """The box of docs/architecture.md that a file is in."""
    top, *rest = path.relative_to(ROOT).parts
    if top == "models":
        return "common" if rest[0] == "common" else "models"
    if top == "translate":
        if rest[0] in ("doctor.py", "symptoms.py", "vitals.py"):
            return "doctor"
        if rest[:2] == ["figures", "lectures"]:
            return "lectures"
        programs = ("__main__.py", "judging.py", "commands")
        return rest[0] if rest[0] in ROOMS else "programs" if rest[0] in programs else "core"
    return "datasets" if top == "datasets" else "programs"


@functools.cache
def file_of(name: str) -> Path | None:
    """Where an imported name of ours is: in the module of that name, or in the one it is taken from."""
    for dotted in (name, name.rpartition(".")[0]):
        place = ROOT.joinpath(*dotted.split("."))
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if dotted and file.exists():
                return file
    return None


def for_type_checkers(path: Path) -> set[str]:
    """What is imported for these alone."""
    branches = [
        n for n in tree(path).body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)
    ]
    return {name for branch in branches for node in ast.walk(branch) for name in names_in(node, path)}


def test_the_picture_of_the_architecture_is_the_code():
    """Every import between rooms is an arrow of docs/architecture.md, and every arrow is an import."""
    drawn = set(
        re.findall(r"^  (\w+) --> (\w+)$", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    )
    files = [*within("translate"), *within("models"), *within("datasets"), ROOT / "train.py", ROOT / "app.py"]
    made = set()
    for path in files:
        targets = {file_of(name) for name in of_ours(path) - for_type_checkers(path)} - {None, path}
        made |= {(room_of(path), room_of(target)) for target in targets}
    made = {(one, other) for one, other in made if one != other}
    assert made == drawn, (sorted(made - drawn), sorted(drawn - made))


def test_only_find_imports_methods_by_name():
    users = [path.name for path in within("translate") if "import_module" in path.read_text()]
    assert users == ["task.py"]


def test_large_packages_are_imported_where_they_are_used():
    for path in SOURCES:
        at_once = {name.split(".")[0] for name in imported(path, everywhere=False)}
        lazy = {"transformers", "kornia", "pandas", "torch_fidelity", "playwright", "matplotlib"}
        if not path.is_relative_to(ROOT / "translate" / "ui") and not path.is_relative_to(ROOT / "tests"):
            lazy |= {"gradio", "torchvision"}
        light = path.parent == ROOT or path.is_relative_to(ROOT / "translate" / "commands")
        if light or path.name in ("config.py", "arguments.py", "cli.py", "__main__.py", "judging.py"):
            lazy |= {"torch", "accelerate", "tyro", "datasets"}
        assert not at_once & lazy, f"{path} imports {at_once & lazy} at once"


def test_no_unfinished_business():
    words = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImpl" + "ementedError", "place" + "holder"]
    pattern = re.compile(r"\b(" + "|".join([*words, "dum" + "my", "for" + " now"]) + r")\b")
    for path in SOURCES:
        found = pattern.search(path.read_text())
        assert not found, f"{path} says {found[0]}"


def test_no_catch_all_modules():
    for path in SOURCES:
        assert path.stem not in ("utils", "util", "helper", "helpers", "misc", "common"), path


def test_programs_methods_and_steps_are_short():
    for program in ("train.py", "app.py"):
        assert len((ROOT / program).read_text().splitlines()) <= 40, program
    for path in SOURCES:
        assert len(path.read_text().splitlines()) < 400, path
    for task in names():
        path = home(task)
        assert len(path.read_text().splitlines()) < 300, path
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef) and node.name == "step":
                assert node.end_lineno - node.lineno < 40, path


@pytest.mark.parametrize("task", names())
def test_methods_name_their_paper_first(task):
    text = ast.get_docstring(tree(home(task))) or ""
    assert re.search(r"\d{4}.*arXiv|arXiv.*\d{4}|\d{4}\)", text.split("\n")[0]), text.split("\n")[0]
    order = [node.name for node in tree(home(task)).body if isinstance(node, ast.ClassDef)]
    assert order.index("Config") == len(order) - 2, "networks, then Config, then the Task"


def test_a_hugging_face_space_starts_as_the_readme_says():
    head = dict(line.split(": ") for line in (ROOT / "README.md").read_text().split("---\n")[1].splitlines())
    container = (ROOT / "Dockerfile").read_text()
    assert head["sdk"] == "docker" and f"EXPOSE {head['app_port']}\n" in container
    assert f'"--port", "{head["app_port"]}"' in container
