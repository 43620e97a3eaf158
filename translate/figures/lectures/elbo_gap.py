"""The ELBO stays below log p(x) by KL(q ‖ p(z|x)), and a linear VAE closes the gap: both can be computed.

Lucas et al. 2019 (arXiv 1911.02469). A lecture says the gap "cannot be computed, but p(x) is constant": for
networks the first is so, the second only while the decoder stands still.
"""

from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import pictures
from translate.figures.plots import DATA, JUDGE, MADE, sheet, titled
from translate.training.lesson import Lesson

SIDE = 14


def draw(work: Work) -> Drawn:
    steps = work.of(3000, 300)
    lesson = Lesson.of(
        "linear_vae", pictures(work, size=SIDE), size=SIDE, latent=8, steps=steps, seed=work.seed,
        data=work.data, flip=False, batch_size=100, learning_rate=3e-3,
    )  # fmt: skip
    logs = lesson.learn(steps)
    figure, (left, right) = sheet(2, wide=3.4)
    every = max(1, steps // 150)
    at = range(0, steps, every)
    means = {
        key: [sum(one[key] for one in logs[i : i + every]) / len(logs[i : i + every]) for i in at]
        for key in logs[0]
    }
    start = len(at) // 10
    left.plot(list(at)[start:], means["log p"][start:], color=DATA, label="log p(x)")
    left.plot(list(at)[start:], means["ELBO"][start:], color=MADE, label="ELBO")
    right.semilogy(list(at), means["gap"], color=JUDGE)
    titled(left, "nats a picture", "update", legend=True)
    titled(right, "log p(x) - ELBO", "update")
    return Drawn(figure, {
        "least gap of any update": min(one["gap"] for one in logs),
        "gap at first": logs[0]["gap"], "gap at last": means["gap"][-1],
        "log p at first": logs[0]["log p"], "log p at last": means["log p"][-1],
    })  # fmt: skip
