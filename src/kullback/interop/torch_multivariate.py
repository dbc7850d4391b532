"""``torch.distributions`` MultivariateNormal and LowRankMultivariateNormal, by the factors that they hold."""

from typing import Any

from torch import distributions

from kullback.gaussians.gaussian import Gaussian


def read(x: Any, name: str, _convert: object) -> Gaussian | None:
    """What torch has factored already is not looked at again."""
    if isinstance(x, distributions.MultivariateNormal):
        return Gaussian.from_scale_tril(x.loc, x._unbroadcasted_scale_tril, validate=False)
    if isinstance(x, distributions.LowRankMultivariateNormal):
        factor, variance = x._unbroadcasted_cov_factor, x._unbroadcasted_cov_diag
        return Gaussian.from_low_rank(x.loc, factor, variance, validate=False)
    return None
