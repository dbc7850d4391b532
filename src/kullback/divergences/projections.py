r"""The nearest Gaussian of a simpler kind, under the Kullback–Leibler divergence.

Forward, :math:`\min_q D(p \,\|\, q)`, keeps moments: the variances. Reverse, :math:`\min_q D(q \,\|\, p)`, keeps
precisions (the conditional variances), and is what mean-field variational inference finds: never wider than forward.
"""

from typing import Any, Literal

from torch import Tensor

from kullback.errors import NotPositiveDefinite
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.interop.registry import as_gaussian
from kullback.numerics.tensors import common_device, compute_dtype, no_autocast
from kullback.pairs.dispatch import marginals

Direction = Literal["forward", "reverse"]


def nearest_diagonal(p: Any, *, direction: Direction = "forward") -> Gaussian:
    r"""The diagonal Gaussian nearest to p: forward that of its variances, reverse that of the inverses of the diagonal
    of its precision.

    Args:
        p: whatever :func:`kl_divergence` takes, of any batch shape.
        direction: ``"forward"`` minimizes :math:`D(p \,\|\, q)`, ``"reverse"`` :math:`D(q \,\|\, p)`, over q.

    Raises:
        ValueError: for another direction.
        NotPositiveDefinite: for what was given as possibly singular.

    Reference:
        C. M. Bishop, Pattern Recognition and Machine Learning, Springer, 2006, section 10.1.2.

    Example:
        >>> from kullback import Gaussian, nearest_diagonal
        >>> p = Gaussian.from_covariance([0.0, 0.0], [[1.0, 0.6], [0.6, 1.0]])
        >>> nearest_diagonal(p).scale.value.tolist()
        [1.0, 1.0]
        >>> [round(v, 6) for v in nearest_diagonal(p, direction="reverse").scale.value.tolist()]
        [0.8, 0.8]
    """
    forward, g = _direction(direction), _prepared(p)
    if isinstance(g.scale, Diagonal):
        return g
    if forward:
        return marginals(g)
    return g.with_scale(Diagonal(g.scale.conditional_stds(g.event_shape), "std"))


def nearest_isotropic(p: Any, *, direction: Direction = "forward") -> Gaussian:
    """The Gaussian with one variance for all coordinates that is nearest to p: forward the mean of its variances,
    reverse the harmonic mean of its conditional variances; otherwise as :func:`nearest_diagonal`.

    Example:
        >>> from kullback import Gaussian, nearest_isotropic
        >>> p = Gaussian.from_variance([0.0, 0.0], [1.0, 3.0])
        >>> [round(v, 6) for v in nearest_isotropic(p).scale.value.square().tolist()]
        [2.0, 2.0]
        >>> [round(v, 6) for v in nearest_isotropic(p, direction="reverse").scale.value.square().tolist()]
        [1.5, 1.5]
    """
    forward, g = _direction(direction), _prepared(p)
    dims = tuple(range(-g.event_dims, 0))
    with no_autocast(g.device):
        stds = g.scale.stds(g.event_shape) if forward else g.scale.conditional_stds(g.event_shape)
        # Divided by their size before they are squared, which may leave the range of the dtype.
        size = stds.detach().amax(dims, keepdim=True) if dims else stds.detach()
        unit = stds / size
        mean = _mean(unit.square(), dims).sqrt() if forward else _mean(unit.pow(-2), dims).rsqrt()
        return g.with_scale(Diagonal((mean * size).broadcast_to(stds.shape), "std"))


def _mean(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    return x.mean(dims, keepdim=True) if dims else x


def _direction(direction: str) -> bool:
    if direction not in ("forward", "reverse"):
        raise ValueError(f"direction must be 'forward' or 'reverse', got {direction!r}.")
    return direction == "forward"


def _prepared(x: Any) -> Gaussian:
    p = as_gaussian(x, "p")
    if not p.scale.has_density:
        raise NotPositiveDefinite("p has no density, so that every diagonal Gaussian is infinitely far from it.")
    return p.cast(compute_dtype(p.tensors()), common_device(p.tensors()))
