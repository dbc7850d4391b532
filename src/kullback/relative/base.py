r"""What a divergence may ask of a pair.

With :math:`I + E = \Sigma_q^{-1/2} \Sigma_p \Sigma_q^{-1/2}` and :math:`\Delta = \mu_p - \mu_q`. Everything has the
shape of the batch.
"""

import abc

from torch import Tensor


class Relative(abc.ABC):
    """p as it is seen from q."""

    @abc.abstractmethod
    def half_excess(self) -> Tensor:
        r""":math:`\tfrac12 [\operatorname{tr} E - \log\det(I + E)] \ge 0`: the KL divergence at equal means."""

    @abc.abstractmethod
    def half_trace(self) -> Tensor:
        r""":math:`\tfrac12 \operatorname{tr}(I + E)`."""

    @abc.abstractmethod
    def half_square(self) -> Tensor:
        r""":math:`\tfrac12 \Delta^\top \Sigma_q^{-1} \Delta`."""

    @abc.abstractmethod
    def half_gap(self, alpha: float) -> Tensor:
        r"""The Rényi divergence at equal means,
        :math:`\tfrac{1}{2(1-\alpha)} [\log\det(I + (1-\alpha) E) - (1-\alpha) \log\det(I + E)] \ge 0`; infinite where
        :math:`I + (1-\alpha) E` is not positive definite.
        """

    @abc.abstractmethod
    def half_square_between(self, alpha: float) -> Tensor:
        r""":math:`\tfrac12 \Delta^\top [\alpha \Sigma_q + (1-\alpha) \Sigma_p]^{-1} \Delta`, where that exists."""
