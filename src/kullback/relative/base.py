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
    def between(self, alpha: float) -> tuple[Tensor, Tensor]:
        r"""Two numbers about the covariance :math:`\Sigma_\alpha = \alpha \Sigma_q + (1-\alpha) \Sigma_p`.

        The gap, which is the Rényi divergence at equal means,
        :math:`\tfrac{1}{2(1-\alpha)} [\log\det(I + (1-\alpha) E) - (1-\alpha) \log\det(I + E)] \ge 0`; infinite where
        :math:`\Sigma_\alpha` is not positive definite. And the square,
        :math:`\tfrac12 \Delta^\top \Sigma_\alpha^{-1} \Delta`, which is of no meaning there.
        """
