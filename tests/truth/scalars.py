"""One-dimensional Gaussians, and the contract that their divergences are within."""

import torch

from kullback import Gaussian
from truth.kinds import MAKE

CONTRACT = 4.0


def scalars(mean: torch.Tensor, scale: torch.Tensor, given: str) -> Gaussian:
    return MAKE[given](mean, scale, event_dims=0)
