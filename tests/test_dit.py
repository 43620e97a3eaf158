"""DiT: what each phase learns, the flow by hand, guidance, words as tokens, latents."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

import datasets
from models.common.autoencoder import SIDE, Decoder, Encoder
from models.text.dit import DiT
from tests.conftest import build
from tests.test_loop import Alone
from translate.config import UserError
from translate.inference.pipeline import Pipeline
from translate.training.loop import Update
from translate.training.stream import collate

BIRDS = datasets.load("captions", "birds:8", size=32)
TEXT, LATENTS, FLOW, DECODER = 0, 1, 2, 6  # updates of tiny()


def batch(count=4):
    return collate([BIRDS.sample(i, torch.Generator().manual_seed(i)) for i in range(count)])


@pytest.fixture
def task():
    """Of random weights, also where it starts at zero."""
    torch.manual_seed(0)
    task = build(DiT, BIRDS).train()
    for parameter in task.flow.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return task


def stepped(task, b, t, seed=5):
    """The losses by optimizer, in order, and what is logged."""
    losses = []
    torch.manual_seed(seed)
    logs = task.step(b, t, lambda name, loss: losses.append((name, loss.item())))
    return losses, logs


@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_latents_are_sixteen_wide_and_normalised(size):
    x = torch.rand(3, 3, size, size) * 2 - 1
    h = Encoder(3, size, 4, 8, 2)(x)
    assert h.shape == (3, 2, SIDE, SIDE) and Decoder(3, size, 4, 8, 2)(h).shape == x.shape
    assert h.mean((0, 2, 3)).abs().max() < 1e-3 and (h.var((0, 2, 3)) - 1).abs().max() < 0.05


def test_another_size_is_a_sentence():
    with pytest.raises(UserError, match="DiT draws 32, 64, 128, 256 px, not --size 48"):
        build(DiT, BIRDS, dataclasses.replace(DiT.tiny(), size=48))


@pytest.mark.parametrize(("rate", "parts"), [(0.02, 2), (0.0, 1), (-1.0, 1)])
def test_without_a_rate_for_muon_all_is_adam(rate, parts):
    task = build(DiT, BIRDS, dataclasses.replace(DiT.tiny(), muon=rate))
    assert len(task.optimizers()["flow"].parts) == parts


def test_text_then_autoencoder_then_flow_then_decoder(task):
    phases = (TEXT, LATENTS, FLOW, DECODER)
    names = [[name for name, _ in stepped(task, batch(), t)[0]] for t in phases]
    # Four pictures are one update of the second.
    assert names == [["text"], ["autoencoder"], ["flow"], ["autoencoder"]]


def test_the_flow_goes_straight_from_noise_to_latents(task):
    """The loss of update 2, by the file's formulas and the same random numbers."""
    b = batch() | {"caption": [""] * 4}  # so it does not matter which captions are left out
    losses, logs = stepped(task, b, FLOW)
    torch.manual_seed(5)
    with torch.no_grad():
        h = task.encoder.eval()(b["image"])
        torch.rand(4)
        noise, when = torch.randn_like(h), (task.config.time_mean + torch.randn(4)).sigmoid()
        t = when.view(-1, 1, 1, 1)
        v = task.flow((1 - t) * noise + t * h, when, task.sentences([""] * 4))
        expected = (v - (h - noise)).square().mean()
    assert losses == [("flow", pytest.approx(expected.item(), rel=1e-4))]
    assert logs["flow"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_most_times_are_early():
    torch.manual_seed(0)
    task, seen = build(DiT, BIRDS), []
    task.flow.register_forward_pre_hook(lambda net, given: seen.append(given[1]))
    many = batch(8)
    for _ in range(20):
        stepped(task, many, FLOW, seed=len(seen))
    odds = torch.cat(seen).logit()
    assert odds.mean() == pytest.approx(task.config.time_mean, abs=0.3) and 0.8 < odds.std() < 1.2


def test_the_error_of_latents_is_that_of_all_parts(task):
    losses, logs = stepped(task, batch(8), LATENTS)
    assert len(losses) == 2 and logs["error"].item() == pytest.approx(
        sum(loss for _, loss in losses) / 2, rel=1e-4
    )


def test_too_few_updates_for_the_flow_are_said(recwarn):
    few = dataclasses.replace(DiT.tiny(), text_steps=2, autoencoder_steps=2, decoder_steps=3)
    build(DiT, BIRDS, dataclasses.replace(few, steps=8)).optimizers()
    build(DiT, BIRDS, dataclasses.replace(few, text_steps=0, autoencoder_steps=0, steps=3)).optimizers()
    assert not recwarn.list  # some for the flow; the decoder alone, from another run
    with pytest.warns(UserWarning, match="--steps 7 leaves the flow none: ask for more than 7"):
        build(DiT, BIRDS, dataclasses.replace(few, steps=7)).optimizers()


def test_the_encoder_stays_as_it_is_while_the_flow_learns(task):
    stepped(task, batch(), LATENTS)
    before = {k: v.clone() for k, v in task.encoder.state_dict().items()}
    stepped(task.train(), batch(), FLOW)
    assert all(torch.equal(v, before[k]) for k, v in task.encoder.state_dict().items())


def test_at_last_the_decoder_alone_learns_also_by_features():
    config = dataclasses.replace(DiT.tiny(), content="efficientnet", lambda_content=0.5)
    task, b = build(DiT, BIRDS, config).train(), batch()
    task.optimizers()
    before = {k: v.clone() for k, v in task.named_parameters()}
    losses, logs = stepped(task, b, DECODER)
    torch.manual_seed(5)
    with torch.no_grad():
        h = task.encoder.eval()(b["image"])
        drawn = task.decoder(h + config.latent_noise * torch.randn_like(h))
        error, content = F.l1_loss(drawn, b["image"]), task.content(drawn, b["image"])
    assert dict(losses) == pytest.approx({"autoencoder": (error + 0.5 * content).item()}, rel=1e-4)
    assert {k: v.item() for k, v in logs.items()} == pytest.approx(
        {"error": error.item(), "content": content.item()}, rel=1e-4
    )
    task.train().step(b, DECODER, Update(task, config, Alone(), None))
    moved = {k.split(".")[0] for k, v in task.named_parameters() if not torch.equal(v, before[k])}
    assert moved == {"decoder"}


def test_a_flow_that_knows_the_way_arrives(task):
    """With v = h - ε for one h, Euler's steps end at h from any noise, however many there are."""
    task.eval()
    goal, z = torch.randn(1, 2, SIDE, SIDE), torch.randn(3, 2, SIDE, SIDE)

    class Known(torch.nn.Module):
        def forward(self, h, t, words):
            return (goal - h) / (1 - t.view(-1, 1, 1, 1))

    task.flow, e = Known(), task.sentences(["a red bird"] * 3)
    with torch.no_grad():
        assert torch.allclose(
            task.paint(z, e), task.decoder(goal).clamp(-1, 1).expand(3, -1, -1, -1), atol=1e-4
        )


def test_guidance_goes_on_from_no_words_past_the_words(task):
    task.eval()
    task.config = dataclasses.replace(task.config, sample_steps=1, guidance=3.0)
    z, e = torch.randn(2, 2, SIDE, SIDE), task.sentences(["a red bird with a black beak", "a bird"])
    start = torch.zeros(2)
    with torch.no_grad():
        said, silent = task.flow(z, start, e), task.flow(z, start, task.sentences(["", ""]))
        assert (said - silent).abs().max() > 1e-3
        expected = task.decoder(z + silent + 3 * (said - silent)).clamp(-1, 1)
        assert torch.allclose(task.paint(z, e), expected, atol=1e-4)


def test_words_are_tokens_and_places_without_one_count_for_nothing(task):
    task.eval()
    short, long = "a red bird", "a small blue bird that has a yellow crown and a black beak"
    both, alone = task.sentences([short, long]), task.sentences([short])
    assert both.shape[0] == 2 and alone.shape[1] == 4 < both.shape[1]  # START and three words
    assert not both[0, 4:].any() and both[1].any(1).all()
    assert torch.allclose(both[:1, :4], alone, atol=1e-5)
    h, when = torch.randn(1, 2, SIDE, SIDE), torch.tensor([0.4])
    with torch.no_grad():
        assert torch.allclose(task.flow(h, when, alone), task.flow(h, when, both[:1]), atol=1e-5)
        assert not torch.allclose(task.flow(h, when, alone), task.flow(h, when, both[1:]), atol=1e-3)


def test_the_way_between_two_captions_begins_and_ends_at_them(task):
    """Also where one is longer than the other."""
    pipeline = Pipeline(task.eval())
    captions, seeds = ("a red bird", "a small blue bird that has a yellow crown"), (1, 2)
    way = pipeline.between(captions, seeds, 3)
    ends = [pipeline.imagine(told, seed=seed)[0] for told, seed in zip(captions, seeds, strict=True)]
    for mine, theirs in zip((way[0], way[2]), ends, strict=True):
        assert torch.allclose(mine.tensor, theirs.tensor, atol=1e-4)
    assert (way[1].tensor - way[0].tensor).abs().max() > 0.01 < (way[1].tensor - way[2].tensor).abs().max()


def test_without_warmup_the_rate_is_there_at_once():
    config = dataclasses.replace(DiT.tiny(), warmup=0)
    task = build(DiT, BIRDS, config)
    assert task.lr_scale(task.learned, "G") == task.scheduled(0, task.drawing - task.learned) > 0


def test_rates():
    """Each phase has its own; the schedule counts the flow alone, after its warmup."""
    c = dataclasses.replace(
        DiT.tiny(), text_steps=10, autoencoder_steps=10, warmup=5, steps=140, decoder_steps=20,
        lr_schedule="cosine",
    )  # fmt: skip
    task = build(DiT, BIRDS, c)
    assert task.lr_scale(0, "G") == 1 and task.lr_scale(9, "G") < 0.1 > task.lr_scale(10, "G") == 1 / 20
    assert task.lr_scale(20, "G") == pytest.approx(0.2) and task.lr_scale(25, "G") > 0.98
    assert task.lr_scale(70, "G") == pytest.approx(0.5) and task.lr_scale(119, "G") < 0.01
    assert task.lr_scale(120, "G") == pytest.approx(0.8) and task.lr_scale(130, "G") == pytest.approx(0.4)


def test_it_learns_which_of_two_pictures_a_caption_means():
    """Two captions, two pictures: after some updates each draws its own from any noise."""
    torch.manual_seed(0)
    c = dataclasses.replace(
        DiT.tiny(),
        channels=8,
        most=16,
        width=64,
        heads=2,
        autoencoder_steps=150,
        sample_steps=8,
        guidance=1.0,
        steps=400,
    )
    task = build(DiT, BIRDS, c).train()
    b = batch(2) | {"caption": ["a red bird", "a blue bird"]}
    many = {k: v * 8 if isinstance(v, list) else v.repeat(8, *[1] * (v.ndim - 1)) for k, v in b.items()}
    nets = {"autoencoder": [*task.encoder.parameters(), *task.decoder.parameters()]}
    adams = {k: torch.optim.Adam(v, 3e-3) for k, v in (nets | {"flow": task.flow.parameters()}).items()}

    def update(name, loss):
        adams[name].zero_grad()
        loss.backward()
        adams[name].step()

    for t in range(250):
        task.train().step(many, c.text_steps + t, update)  # of 400, so the decoder's own phase never comes
    with torch.no_grad():
        made = task.eval().generate(text=b["caption"], noise=torch.randn(2, *task.noise_shape))
        error = (made[:, None] - b["image"][None]).abs().flatten(2).mean(2)
    assert error[0, 0] < 0.7 * error[0, 1] and error[1, 1] < 0.7 * error[1, 0]
    assert F.l1_loss(made, b["image"]) < 0.3
