"""What a kernel must answer, and what it computes on."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.kernels.layout import Layout

Work = Literal["kl", "kl_terms"]
"""The divergence of each row, with gradients; or the mean and the covariance term of each coordinate, without."""

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
        """Why the kernel cannot do this for this pair; None if it can. One that can do ``"kl_terms"`` is a
        :class:`TermsKernel`.
        """

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
    """A kernel that also computes the terms of each coordinate."""

    def terms(self, tensors: Sequence[Tensor], layout: Layout) -> tuple[Tensor, Tensor]:
        """The mean and the covariance term of each coordinate, of batch and event shape."""


class GaussianKernel(Protocol):
    """One way of computing pairs that are not four tensors, by operations of torch, which differentiates them."""

    def unsupported_reason(self, p: Gaussian, q: Gaussian) -> str | None:
        """Why the kernel cannot do this pair; None if it can."""

    def kl(self, p: Gaussian, q: Gaussian, diagonal_kl: Callable[[Gaussian, Gaussian], Tensor]) -> Tensor:
        """The divergence of each row, by that of diagonals."""
