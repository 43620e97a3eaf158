"""--text-encoder DIR: transformers models as they are saved, made here with random weights."""

import dataclasses
import sys

import pytest
import torch

import datasets
import train
from models.common.frozen_text import Frozen, VectorCache
from models.text.gan_cls import GANCLS
from translate.cli import exit_code
from translate.config import UserError
from translate.inference.pipeline import Pipeline
from translate.task import DataInfo
from translate.training.checkpoint import read_model

TOLD = ["a red bird", "a small blue bird with a long tail", "a red bird"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "bird", "small", "blue", "with", "long", "tail"]


def save(folder, kind):
    """A model folder of `kind` with a word-level tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        BertConfig,
        BertModel,
        CLIPTextConfig,
        CLIPTextModel,
        PreTrainedTokenizerFast,
        T5Config,
        T5EncoderModel,
    )

    torch.manual_seed(0)
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("$A [SEP]", special_tokens=[("[SEP]", 3)])
    end = dict(pad_token="[PAD]", unk_token="[UNK]", eos_token="[SEP]", model_max_length=12)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **end).save_pretrained(folder)
    small = dict(vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    made = {
        "bert": lambda: BertModel(BertConfig(**small, intermediate_size=16)),
        "clip": lambda: CLIPTextModel(CLIPTextConfig(**small, intermediate_size=16, eos_token_id=3)),
        "t5": lambda: T5EncoderModel(
            T5Config(vocab_size=len(WORDS), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        ),
    }[kind]()
    made.save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("kind", ["bert", "clip", "t5"])
def test_vectors_of_every_kind_and_kept_on_disk(tmp_path, cache, kind):
    folder = save(tmp_path / kind, kind)
    encoder = Frozen(folder)
    vectors = encoder(TOLD)
    assert vectors.shape == (3, 16) and torch.equal(vectors[0], vectors[2])
    assert not torch.allclose(vectors[0], vectors[1], atol=0.01)
    assert vectors.mean(1).abs().max() < 1e-4 and (vectors.var(1, correction=0) - 1).abs().max() < 1e-2
    alone = encoder.compute(TOLD[:1])  # without the padding that the longer one brought
    assert torch.allclose(alone[0], vectors[0], atol=1e-4)
    [file] = (cache / "translate").iterdir()
    again = Frozen(folder)
    assert torch.equal(again(TOLD), vectors) and again.model is None, "read from the disk"
    again([*TOLD, "", "\N{BIRD}"])
    assert again.model is not None and len(list(file.parent.iterdir())) == 1


def test_another_state_of_the_folder_is_another_model(tmp_path):
    first = Frozen(save(tmp_path / "m", "bert"))
    before = first(TOLD)
    first.load().cpu().save_pretrained(tmp_path / "m")  # the same weights, saved again
    assert Frozen(str(tmp_path / "m")).cache.folder != first.cache.folder
    assert torch.allclose(Frozen(str(tmp_path / "m"))(TOLD), before, atol=1e-5)


def test_a_cache_that_cannot_be_written_is_told_and_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot be kept"):
        kept = VectorCache("model", 4)
    kept.put({"a": torch.zeros(4)})
    assert kept.get(["a"]) == {}


def test_what_was_understood(tmp_path):
    encoder = Frozen(save(tmp_path / "m", "bert"))
    read = encoder.read("a red teal bird.", 10_000)
    assert read.known == ["a", "red", "bird"] and read.unknown == ["teal"] and not read.cut
    assert encoder.read("a red bird " * 20, 10_000).cut and encoder.read("", 10_000).known == []


@pytest.mark.parametrize(
    ("method", "size"),
    [
        ("gan_cls --size 16 --channels 4 --noise 4 --compressed 4 --steps 2", 16),
        (
            "dit --size 32 --channels 4 --width 16 --depth 1 --autoencoder-steps 1 "
            "--sample-steps 2 --steps 3",
            32,
        ),
    ],
)
def test_a_model_learns_from_it_and_is_used(method, size, tmp_path, capsys, monkeypatch):
    folder = save(tmp_path / "m", "clip")
    words = ["train.py", "--task", *method.split(), "--batch-size", "2", "--ema", "0.9"]
    words += ["--text-encoder", folder, "--output", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", words)
    assert exit_code(train.main) == 0, capsys.readouterr()
    task = read_model(tmp_path / "run")
    assert task.text_width == 16 and task.frozen.name == folder
    pipeline = Pipeline.from_pretrained(tmp_path / "run")
    [one], [same], [other] = (pipeline(text=told) for told in (TOLD[0], TOLD[2], TOLD[1]))
    assert one.tobytes() == same.tobytes() and other.size == (size, size)
    assert (task.sentences(TOLD)[0] - task.sentences(TOLD)[1]).abs().max() > 0.01
    assert "teal" in pipeline.reading("a teal bird").note


def test_mistakes_are_sentences(tmp_path, monkeypatch):
    data = datasets.load("captions", "birds:4", size=16)

    def build(name):
        return GANCLS(dataclasses.replace(GANCLS.tiny(), text_encoder=name), DataInfo.of(data.info))

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # no waiting for the network
    with pytest.raises(UserError, match="--text-encoder nobody/nothing cannot be used .*out of reach"):
        build("nobody/nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty cannot be used"):
        build(str(tmp_path / "empty"))
    from transformers import ResNetConfig, ResNetModel

    ResNetModel(ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1])).save_pretrained(tmp_path / "r")
    with pytest.raises(UserError, match="--text-encoder .*r "):
        build(str(tmp_path / "r"))
