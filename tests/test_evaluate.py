"""`python -m translate evaluate`, from models in folders to scores.json, tables and cards."""

import dataclasses
import json
import subprocess
import sys

import pytest
import torch

import datasets
from models.common.features import teachers
from tests.conftest import World, build
from translate.config import UserError
from translate.metrics import captions, disentangled, evaluation, evidence, features, record
from translate.metrics import reader as readers
from translate.metrics.command import plain, scored, usual_network
from translate.task import find
from translate.training import checkpoint


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """A small network of its own, as a file: nothing here needs a large one."""
    torch.manual_seed(0)
    reader = readers.Reader({"wing": ("red", "blue"), "size": ("small", "large")}, size=32, width=4).train()
    with torch.no_grad():
        for _ in range(30):  # its norms learn what values come
            reader(torch.rand(16, 3, 32, 32) * 2 - 1)
    path = tmp_path_factory.mktemp("judge") / "small.safetensors"
    readers.save(reader, path, {})
    return str(path)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSLATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


def model(name: str, folder, **settings):
    task_class = find(name)
    config = dataclasses.replace(task_class.tiny(), data="birds:24", **settings)
    data = datasets.load(task_class.data, "birds:24", size=config.size)
    checkpoint.write_model(folder, build(task_class, data, config), steps=7)
    return folder


def score(folder, network, **settings):
    usual = dict(data=None, names="", network=network, count=12, split="test", direction=None, seed=0)
    usual |= dict(judge=None, named=None, device="cpu", progress=lambda done, of: None)
    return scored(str(folder), datasets.load, datasets.options_of, **usual | settings)[1]


FROM_NOISE = {"fid", "kid", "mind", "precision", "recall", "diversity", "memorised", "path length"}
FROM_NOISE |= {"disentanglement"}  # by the reader of birds


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dcgan", FROM_NOISE),
        ("pix2pix", {"fid", "kid", "mind", "precision", "recall", "psnr", "ssim", "ms-ssim"}),
        ("cyclegan", {"fid", "kid", "mind", "precision", "recall"}),
        ("srgan", {"fid", "kid", "mind", "precision", "recall", "psnr", "ssim", "ms-ssim"}),
        ("gan_cls", FROM_NOISE),
    ],
)
def test_every_kind_of_model_is_scored(name, expected, judge, tmp_path):
    settings = {"size": 32} if name in ("srgan", "gan_cls") else {}
    found = score(model(name, tmp_path / "model", **settings), judge)
    assert {row.metric.partition("[")[0] for row in found.rows} - {"memorised ratio"} == expected
    directions = {row.protocol["direction"] for row in found.rows}
    assert directions == ({"AtoB", "BtoA"} if name == "cyclegan" else {"AtoB"})
    for row in found.rows:
        assert torch.isfinite(torch.tensor(row.value)), row.metric
        assert 9 <= row.protocol["made"] <= 12 and row.protocol["seed"] == 0 and row.protocol["measure"]
        if "[small]" in row.metric:
            assert row.protocol["network"].startswith("small ") and "32 px" in row.protocol["resize"]
    fid = next(row for row in found.rows if row.metric.startswith("fid"))
    assert 0 <= fid.floor < fid.value, "untrained models are worse than real pictures"
    assert fid.trivial_is == ("mean picture" if "path length" in expected else "input copied")
    if "disentanglement" in expected:
        reads = next(row for row in found.rows if row.metric == "disentanglement")
        assert reads.protocol["network"].startswith("reader ") and "128 px" in reads.protocol["resize"]
        report = record.report(found)
        assert "not taken" not in report and report.count("\n") == 4, "all five questions are answered"
    assert found.update == 7 and found.seconds > 0 and len(found.fingerprint) == 16


def test_scores_repeat_and_features_of_real_pictures_are_kept(judge, tmp_path, cache):
    folder = model("dcgan", tmp_path / "model")
    first = score(folder, judge)
    files = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    again = score(folder, judge)
    assert again.rows == first.rows and files and files == {p: p.stat().st_mtime_ns for p in cache.iterdir()}
    damaged = next(iter(files))
    damaged.write_bytes(b"damaged")
    assert score(folder, judge).rows == first.rows and damaged.stat().st_size > 100, "made anew"
    (cache / "0").mkdir()
    other = score(folder, judge, seed=1)
    assert other.rows != first.rows and [r.protocol["seed"] for r in other.rows] == [1] * len(other.rows)
    elsewhere = score(folder, judge, data="birds:40")  # as many, of other birds
    with pytest.raises(UserError, match="not taken alike .reference: "):
        record.comparison([first, elsewhere])


def test_a_copy_of_the_training_pictures_is_found_and_perfect_pictures_reach_the_floor(judge, tmp_path):
    """Planted in what the model made: training picture 5."""
    task = build(find("dcgan"), datasets.load("images", "birds:24", size=16))
    parts = [datasets.load("images", "birds:60", size=16, split=s, flip=False) for s in ("test", "train")]
    e = evidence.gather(task.eval(), *parts, count=20)
    e.made = torch.cat([e.held_out[:19], e.train[5:6]])
    rows = evaluation.evaluate(e, evaluation.Judges(features.network(judge)), ["memorisation"])
    assert rows[0].value >= 0.05 and "19 is training picture 5" in rows[0].remarks[0]
    assert rows[1].metric == "memorised ratio[small]" and rows[1].value < 1.5
    assert rows[0].floor < 0.1 and 0.7 < rows[1].floor < 1.3, "the floor are held-out pictures, no copies"
    e.made = e.held_out.clone()
    fid = evaluation.evaluate(e, evaluation.Judges(features.network(judge)), ["fid", "precision-recall"])
    assert fid[0].value < 1e-3 < fid[0].floor and fid[1].value == fid[2].value == 1


def test_data_without_a_test_part_is_halved(judge):
    task, data = build(find("dcgan"), World("images", 16, 30)), World("images", 16, 30)
    e = evidence.gather(task.eval(), data, data, count=10)
    assert e.split == "train, halved" and e.held_out is None and len(e.real) == len(e.floor) == 10
    assert not any((e.real == picture).flatten(1).all(1).any() for picture in e.floor)


def test_an_untrained_translator_is_scored_on_each_input_once(judge, tmp_path):
    """Twelve test pairs are there; 500 asked for."""
    found = score(model("pix2pix", tmp_path / "model"), judge, data="birds:12", count=500, names="psnr,fid")
    assert [row.protocol["made"] for row in found.rows] == [
        len(datasets.load("paired", "birds:12", size=16, split="test"))
    ] * 2
    psnr = found.rows[0]
    assert psnr.floor is None and psnr.trivial > 0 and psnr.better == "higher"


@pytest.mark.parametrize(
    ("name", "names", "sentence"),
    [
        ("dcgan", "fdi", "no metric 'fdi', did you mean fid"),
        ("dcgan", "psnr", "psnr needs pictures that it should have made: paired or lowres data"),
        ("cyclegan", "path-length", "path-length needs a model that draws from noise"),
        ("dcgan", "r-precision", "r-precision needs a model of captions"),
        ("pix2pix", "segmentation", "segmentation needs label maps as truths"),
        ("gan_cls", "r-precision", "r-precision needs a judge"),
        ("gan_cls", "caption-fidelity", "caption-fidelity needs a reader"),
    ],
)
def test_what_cannot_be_scored_is_told(name, names, sentence, judge, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "READERS", tmp_path)
    with pytest.raises(UserError, match=sentence):
        score(model(name, tmp_path / "model"), judge, names=names)


def test_a_size_is_for_models_that_take_pictures(judge, tmp_path):
    found = score(model("pix2pix", tmp_path / "one"), judge, names="psnr", size=32)
    assert found.rows[0].protocol["size"] == "32x32"
    with pytest.raises(UserError, match="--size 32: .*two draws pictures of 16 px and no others"):
        score(model("dcgan", tmp_path / "two"), judge, size=32)


def test_captions_are_scored_with_their_own_pictures_and_shuffled_ones(judge, tmp_path):
    """A reader that always says what it was built to say; named attributes given."""
    from datasets.birds import attributes_in

    torch.manual_seed(0)
    path = tmp_path / "match.safetensors"
    vocabulary = datasets.load("captions", "birds:24", size=32).info["vocabulary"]
    captions.save(captions.Judge(tuple(vocabulary), width=16), path)
    folder = model("gan_cls", tmp_path / "model", size=32)
    names = "caption-fidelity,r-precision"
    found = score(
        folder, judge, names=names, named=attributes_in, judge=str(path), count=110, data="birds:110"
    )
    rows = {row.metric: row for row in found.rows}
    assert rows["R-precision"].trivial_is == "captions shuffled" and 0 <= rows["R-precision"].value <= 0.2
    fidelity = rows["caption fidelity"]
    assert fidelity.floor > 0.8 > 0.5 > fidelity.value, "real birds show what is said, noise does not"
    assert rows["caption fidelity, wing"].protocol["measure"].startswith("share of named attributes")


def test_captions_need_ninety_nine_others_not_a_hundred_pictures():
    """Of two captions a picture 55 pictures have enough; of two kinds there are not."""
    judges = evaluation.Judges(matcher=captions.Judge(("[PAD]", "[UNK]", "[START]", "red"), width=16))
    told = dataclasses.make_dataclass("Told", ["captions", "kinds"])
    pictures = torch.zeros(110, 3, 32, 32, dtype=torch.uint8)
    found = evaluation.r_precision(pictures, told(["red"] * 110, [str(i // 2) for i in range(110)]), judges)
    assert found["R-precision"].count == 110
    with pytest.raises(UserError, match="needs 99 captions of other pictures beside each, not 55; raise"):
        evaluation.r_precision(pictures, told(["red"] * 110, [str(i % 2) for i in range(110)]), judges)


def test_unpaired_models_share_a_table_for_each_direction(judge, tmp_path, capsys):
    from benchmarks import unpaired

    models = tuple(str(model(name, tmp_path / name)) for name in ("cyclegan", "cut"))
    unpaired.main(
        unpaired.Settings(data="birds:12", models=models, size=24, features=judge, sheets=tmp_path / "sheets")
    )
    tables = capsys.readouterr().out.split("BtoA: ")
    assert "| | cyclegan | cut | floor | trivial |" in tables[0] and "(input copied)" in tables[0]
    assert "| | cyclegan | floor |" in tables[1] and "kid[small]" in tables[1]
    assert {path.name for path in (tmp_path / "sheets").iterdir()} == {
        "unpaired-AtoB.png", "unpaired-BtoA.png"
    }  # fmt: skip


def test_a_judge_that_taught_the_model_is_named():
    e = dataclasses.make_dataclass("E", ["task"])
    config = dataclasses.replace(find("cyclegan").tiny(), discriminator="projected")
    assert teachers(config) == {"efficientnet-lite0"}
    assert teachers(find("dcgan").tiny()) == set() and e
    assert usual_network("../shared/data/mnist").startswith(("lenet", "efficientnet-lite2"))
    assert usual_network("flowers.zip") == "efficientnet-lite2"


def test_random_changes_of_training_pictures_are_off():
    config = dataclasses.replace(find("pix2pix").tiny(), flip=True, color_jitter=0.3, strokes=0.5)
    found = plain(datasets.options_of(config))
    assert found["resize"] == "resize" and not found["flip"] and not found["color_jitter"]


# --- records ----------------------------------------------------------------------------------------------


def row(metric="fid[small]", value=3.0, **protocol) -> evaluation.Row:
    facts = dict(measure="Frechet", implementation="torchmetrics 1", network="small 0123", resize="to 8 px")
    facts |= dict(colours="RGB", size="8x8", made=10, real=10, split="test", direction="AtoB", seed=0)
    facts["reference"] = "f" * 16
    return evaluation.Row(metric, value, "", "lower", facts | protocol, 1.0, 9.0, "input copied", [])


def a_record(name="one", *rows) -> record.Record:
    return record.Record(name, "dcgan", "birds", 100, "live", "f" * 16, 0.004, list(rows or [row()]))


def test_scores_taken_alike_share_a_table_and_others_are_refused():
    table = record.comparison([a_record("one"), a_record("two", row(value=4.5))])
    assert (
        "| fid[small] ↓ | 3 | 4.5 | 1 | 9 (input copied) |" in table and "| ms a picture | 4 | 4 |" in table
    )
    changes = dict(
        made=20,
        real=5,
        seed=1,
        network="small 4567",
        resize="to 9 px",
        split="train",
        size="16x16",
        reference="e" * 16,
    )
    for key, value in changes.items():
        with pytest.raises(UserError, match=f"fid.small. of one and two was not taken alike .{key}: "):
            record.comparison([a_record("one"), a_record("two", row(**{key: value}))])


def test_scores_are_kept_added_to_and_forgotten_with_the_weights(tmp_path):
    record.write(a_record("one", row(), row("kid[small]")), tmp_path)
    record.write(a_record("one", row(value=2.0), row(seed=1)), tmp_path)
    found = record.read(tmp_path / "scores.json")
    assert [(r.metric, r.value, r.protocol["seed"]) for r in found.rows] == [
        ("fid[small]", 2.0, 0), ("fid[small]", 3.0, 1), ("kid[small]", 3.0, 0)
    ]  # fmt: skip
    assert record.table(found).count("| fid[small] ↓ |") == 2, "two protocols, two tables"
    trained_on = dataclasses.replace(a_record("one", row("mind[small]")), fingerprint="e" * 16)
    record.write(trained_on, tmp_path)
    assert [r.metric for r in record.read(tmp_path / "scores.json").rows] == ["mind[small]"]
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(UserError, match="holds no scores"):
        record.read(tmp_path / "scores.json")


def test_the_card_keeps_what_people_wrote(tmp_path):
    card = tmp_path / "README.md"
    card.write_text("# one\n\nWords.\n\n## Scores\n\nBy hand.\n\n## What it cannot do\n\nFly.\n")
    for value in (3.0, 5.0):
        record.on_card(a_record("one", row(value=value)), tmp_path)
    text = card.read_text()
    assert (
        "Words." in text
        and "By hand." in text
        and text.endswith("Fly.\n")
        and text.count("fid[small] ↓") == 1
    )
    assert "| fid[small] ↓ | 5 | 1 | 9 (input copied) |" in text and "small 0123, to 8 px" in text
    assert text.index("By hand.") < text.index(record.BEGIN) < text.index("## What it cannot do")
    card.unlink()
    record.on_card(a_record(), tmp_path)
    assert card.read_text().startswith("# one\n") and "## Scores" in card.read_text()


def test_a_gap_of_information_where_one_number_decides():
    """The picture is red where z₀ > 0; a reader that sees the red channel."""

    class Red(readers.Reader):
        def __init__(self):
            torch.nn.Module.__init__(self)
            self.heads = {"colour": ("no", "red")}

        def read(self, pictures, batch=64):
            return {"colour": (pictures[:, 0].mean((1, 2)) > 0).long()}

    z = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))

    def pictures(decides):
        return torch.where(decides > 0, 255, 0).byte().view(-1, 1, 1, 1).expand(-1, 3, 4, 4)

    assert disentangled.information_gap(z, pictures(z[:, 0]), Red()).value == pytest.approx(1, abs=0.05)
    assert disentangled.information_gap(z, pictures(z[:, 0] + z[:, 1]), Red()).value < 0.1
    assert disentangled.information_gap(z, pictures(z[:, 0] * 0 - 1), Red()).value == 0


def test_the_command_from_end_to_end(judge, tmp_path, capsys):
    """Numbers, table, card; and, in a child process, one sentence for a mistake."""
    from translate.commands.evaluate import evaluate

    folder = model("dcgan", tmp_path / "model")
    evaluate(model=(str(folder),), features=judge, count=8, metrics="fid,mind")
    facts = json.loads((folder / "scores.json").read_text())
    assert [r["metric"] for r in facts["rows"]] == ["fid[small]", "mind[small]"]
    told = capsys.readouterr().out
    assert "| fid[small] ↓ |" in told and "quality: not taken" in told
    assert record.BEGIN in (folder / "README.md").read_text()
    words = [sys.executable, "-m", "translate", "evaluate", "--model", str(folder), "--features", judge]
    bad = subprocess.run([*words, "--metrics", "fdi", "--count", "8"], capture_output=True, text=True)
    assert bad.returncode == 2 and "did you mean fid" in bad.stderr and "Traceback" not in bad.stderr
