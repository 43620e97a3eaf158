"""A history of generated pictures for the discriminator (Shrivastava et al. 2017, arXiv 1612.07828, 2.3)."""

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Pool(nn.Module):
    """The last pictures G made. `pool(fakes)` stores them and answers, one time in two, with older ones.

    The history is a buffer, so it is saved and resumed. All processes keep the same history: what each makes
    is gathered, in rank order, which also makes two processes of batch 4 equal one of batch 8.
    """

    def __init__(self, size: int, picture: tuple[int, int, int], seed: int):
        super().__init__()
        self.size, self.seed = size, seed
        self.register_buffer("pictures", torch.zeros(size, *picture))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.long))
        self.count: int | None = None  # the same, so that no step waits for a device to read it
        self.register_load_state_dict_post_hook(forget)

    @torch.no_grad()
    def forward(self, fakes: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, H, W], detached."""
        if self.size == 0:
            return fakes.detach()
        count = len(fakes)
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        everyone = fakes.detach().float().contiguous()
        if world > 1:
            parts = [torch.empty_like(everyone) for _ in range(world)]
            dist.all_gather(parts, everyone)
            everyone = torch.cat(parts)
        pushed = int(self.pushed) if self.count is None else self.count
        answers = []
        for picture in everyone:
            # A function of the count alone: the same in every process, and however pictures come in batches.
            draws = torch.Generator().manual_seed(self.seed * 1_000_003 + pushed)
            if pushed < self.size:
                self.pictures[pushed] = picture
            elif torch.rand((), generator=draws) < 0.5:
                slot = int(torch.randint(self.size, (), generator=draws))
                older = self.pictures[slot].clone()
                self.pictures[slot] = picture
                picture = older
            answers.append(picture)
            pushed += 1
        self.count = pushed
        self.pushed.fill_(pushed)
        mine = torch.stack(answers[rank * count : (rank + 1) * count]).to(fakes.dtype)
        return mine.contiguous(memory_format=torch.channels_last)


def forget(pool: Pool, keys) -> None:
    """Another history was loaded; its count is in the buffer."""
    pool.count = None
