r"""What a divergence may ask of a pair.

With :math:`I + E = \Sigma_q^{-1/2} \Sigma_p \Sigma_q^{-1/2}` and :math:`\Delta = \mu_p - \mu_q`. Everything has the
shape of the batch.
"""

import abc
from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.gaussians.gaussian import Gaussian


def have_densities(p: Gaussian, q: Gaussian) -> bool:
    """Is neither singular, by the way that it was given?"""
    return p.scale.has_density and q.scale.has_density


class GaussianPair(abc.ABC):
    """p as it is seen from q."""

    @abc.abstractmethod
    def covariance_term(self) -> Tensor:
        r""":math:`\tfrac12 [\operatorname{tr} E - \log\det(I + E)] \ge 0`: the KL divergence at equal means."""

    def kl(self) -> Tensor:
        """The Kullback–Leibler divergence of p from q: the sum of its two non-negative terms."""
        return self.covariance_term() + self.mean_term()

    @abc.abstractmethod
    def half_trace(self) -> Tensor:
        r""":math:`\tfrac12 \operatorname{tr}(I + E)`."""

    @abc.abstractmethod
    def mean_term(self) -> Tensor:
        r""":math:`\tfrac12 \Delta^\top \Sigma_q^{-1} \Delta`."""

    @abc.abstractmethod
    def between(self, alpha: float) -> tuple[Tensor, Tensor]:
        r"""Two numbers about the covariance :math:`\Sigma_\alpha = \alpha \Sigma_q + (1-\alpha) \Sigma_p`.

        The gap, which is the Rényi divergence at equal means,
        :math:`\tfrac{1}{2(1-\alpha)} [\log\det(I + (1-\alpha) E) - (1-\alpha) \log\det(I + E)] \ge 0`; infinite where
        :math:`\Sigma_\alpha` is not positive definite. And the square,
        :math:`\tfrac12 \Delta^\top \Sigma_\alpha^{-1} \Delta`, which is of no meaning there.
        """


@dataclass(frozen=True, eq=False)
class Float64Pair(GaussianPair):
    """A pair that computes in float64, its results in the dtype that was asked for."""

    pair: GaussianPair
    dtype: torch.dtype

    def covariance_term(self) -> Tensor:
        """That of the pair, rounded."""
        return self.pair.covariance_term().to(self.dtype)

    def half_trace(self) -> Tensor:
        """That of the pair, rounded."""
        return self.pair.half_trace().to(self.dtype)

    def mean_term(self) -> Tensor:
        """That of the pair, rounded."""
        return self.pair.mean_term().to(self.dtype)

    def between(self, alpha: float) -> tuple[Tensor, Tensor]:
        """That of the pair, rounded."""
        gap, square = self.pair.between(alpha)
        return gap.to(self.dtype), square.to(self.dtype)


def jeffreys_terms(there: GaussianPair, back: GaussianPair) -> Tensor:
    """The divergence of p from q and of q from p, added: the scales' terms first, then the means'."""
    return there.covariance_term() + back.covariance_term() + there.mean_term() + back.mean_term()
