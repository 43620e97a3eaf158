"""LSGAN (Mao et al. 2017, arXiv 1611.04076): least squares in place of cross-entropy, on DCGAN's networks.

    min_D ½ E (D(x) - b)² + ½ E (D(G(z)) - a)²,   min_G ½ E (D(G(z)) - c)²,   a = 0, b = c = 1   (eqs. 2, 9)

It does not go flat where D is sure, as log(1 - D) does. Adam of 2e-4 and 0.5 as in section 4; the halves are
left out, which Adam does not notice. Deviation: DCGAN's networks; the paper's end in dense layers.
"""

from dataclasses import dataclass

from models.gan import dcgan
from translate.config import Objective


@dataclass(frozen=True, kw_only=True)
class Config(dcgan.Config):
    """LSGAN (Mao et al. 2017)"""

    objective: Objective = "least-squares"
    batch_size: int = 64


class LSGAN(dcgan.DCGAN):
    Config = Config
