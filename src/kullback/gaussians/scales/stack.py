"""Scales that may differ in kind, as one scale with a new first batch dimension."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kullback.gaussians.scales.base import MatrixScale, Scale
from kullback.gaussians.scales.diagonal import Diagonal, common_parameterization
from kullback.gaussians.scales.factor import Factor, FactorOfCovariance
from kullback.gaussians.scales.low_rank import LowRank
from kullback.gaussians.scales.matrix import Tril
from kullback.numerics.tensors import broadcast_shapes


def stack_scales(
    scales: Sequence[Scale], dtype: torch.dtype, device: torch.device, batch: torch.Size, event: torch.Size
) -> Scale:
    """The scales, in the parameterization they share or the first of these that takes them all: diagonal, low-rank,
    Cholesky factor, any factor.
    """
    diagonals = [scale for scale in scales if isinstance(scale, Diagonal)]
    if len(diagonals) == len(scales):
        common = common_parameterization(*diagonals)
        values = [scale.to(common).cast(dtype, device).value.broadcast_to(batch + event) for scale in diagonals]
        return Diagonal(torch.stack(values), common)
    cast = [scale.cast(dtype, device) for scale in scales]
    if all(isinstance(scale, Diagonal | LowRank) for scale in cast):
        low_ranks = [as_low_rank(scale, event) for scale in cast]
        rank = max(scale.rank for scale in low_ranks)
        shared: list[MatrixScale] = [scale.padded(rank) for scale in low_ranks]
    elif not all(scale.has_density for scale in cast):
        roots = [scale.root(event) for scale in cast]
        width = max(x.shape[-1] for x in roots)
        kind = FactorOfCovariance if any(isinstance(scale, FactorOfCovariance) for scale in cast) else Factor
        shared = [kind(torch.nn.functional.pad(x, (0, width - x.shape[-1]))) for x in roots]
    elif len({type(scale) for scale in cast}) == 1:
        shared = [scale for scale in cast if isinstance(scale, MatrixScale)]
    else:
        shared = [Tril(scale.factor_matrix(event)) for scale in cast]

    def stacked(*tensors: Tensor, n: int) -> Tensor:
        return torch.stack([x.broadcast_to(batch + x.shape[x.ndim - n :]) for x in tensors])

    columns = zip(*(scale.parts(1) for scale in shared), strict=True)
    return type(shared[0])(*(stacked(*(x for x, _ in column), n=column[0][1]) for column in columns))


def as_low_rank(scale: Scale, event: torch.Size) -> LowRank:
    """A diagonal scale as a low-rank one of rank 0."""
    if isinstance(scale, LowRank):
        return scale
    assert isinstance(scale, Diagonal)
    variance = scale.to("variance").value
    variance = variance.broadcast_to(broadcast_shapes(variance.shape, event))
    return LowRank(variance.unsqueeze(-1)[..., :0], variance)
