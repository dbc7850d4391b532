"""What a kernel must answer, and what it computes on."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.kernels.layout import Layout

Work = Literal["kl", "kl_terms", "kl_sums"]
"""The divergence of each row, with gradients; or, without, the mean and the covariance term of each coordinate; or the
first and the sums over rows of the second, in float64.
"""

Tensors = tuple[Tensor, Tensor, Tensor, Tensor]
"""The mean of p, the scale of p, the mean of q, the scale of q."""


class Inputs(NamedTuple):
    """A pair as tensors, what its scales are, and how many event dimensions the means have."""

    tensors: Tensors
    parameterization: str
    event_dims: int

    @property
    def d(self) -> int:
        """The length of the last dimension of the scales."""
        scale = self.tensors[1]
        return scale.shape[-1] if scale.ndim else 1


class Kernel(Protocol):
    """One way of computing pairs. Nothing that it does is recorded for gradients."""

    def unsupported_reason(self, work: Work, inputs: Inputs) -> str | None:
        """Why the kernel cannot do this for this pair; None if it can: ``"kl"`` as a :class:`KLKernel`, ``"kl_terms"``
        as a :class:`TermsKernel`, ``"kl_sums"`` as a :class:`SumsKernel`.
        """


class KLKernel(Kernel, Protocol):
    """A kernel that computes the divergence of each row, and its gradients."""

    def in_one_pass(self, layout: Layout) -> bool:
        """Are value and gradients together, which then are scaled, cheaper than one after the other?"""

    def value(self, tensors: Sequence[Tensor], layout: Layout) -> Tensor:
        """The divergence of each row."""

    def gradients(
        self, tensors: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        """The derivatives of the weighted sum of the rows' divergences, with respect to each tensor, of full shape."""

    def value_and_gradients(
        self, tensors: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Both in one pass over the tensors."""


class TermsKernel(Kernel, Protocol):
    """A kernel that computes the terms of each coordinate."""

    def terms(self, tensors: Sequence[Tensor], layout: Layout) -> tuple[Tensor, Tensor]:
        """The mean and the covariance term of each coordinate, of batch and event shape."""


class Sums(NamedTuple):
    """What the divergences of rows add up to, in float64."""

    values: Tensor
    """The divergence of each row."""
    from_means: Tensor
    """For each coordinate the sum over rows of the mean term, of event shape."""
    from_variances: Tensor
    """The same of the covariance term."""


class RowMoments(NamedTuple):
    """What the parameters of rows add up to, in float64: of event shape."""

    mean: Tensor
    """The mean of the means."""
    squares: Tensor
    """The sum of their squared deviations from it."""
    variance: Tensor
    """The mean of the variances."""


class SumsKernel(Kernel, Protocol):
    """A kernel that adds up over rows ``(N,)``."""

    def sums(self, inputs: Inputs) -> Sums:
        """Of a pair."""

    def moments(self, inputs: Inputs) -> RowMoments:
        """Of the first of a pair."""


class GaussianKernel(Protocol):
    """One way of computing pairs that are not four tensors, by operations of torch, which differentiates them."""

    def unsupported_reason(self, p: Gaussian, q: Gaussian) -> str | None:
        """Why the kernel cannot do this pair; None if it can."""

    def kl(self, p: Gaussian, q: Gaussian, diagonal_kl: Callable[[Gaussian, Gaussian], Tensor]) -> Tensor:
        """The divergence of each row, by that of diagonals."""
