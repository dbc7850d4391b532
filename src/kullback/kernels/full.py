"""What the kernels compute on, of pairs of full Gaussians."""

from torch import Tensor

from kullback.common import broadcast_shapes
from kullback.gaussian import Gaussian
from kullback.kernels.function import Operands
from kullback.kernels.layout import Kind
from kullback.scale.matrix import Dense, Tril


def operands(p: Gaussian, q: Gaussian) -> tuple[Operands, Kind, int] | str:
    """Means and matrices as tensors, what the matrices are, and the one event dimension; or why there is nothing to
    compute on.
    """
    scale_p, scale_q, a, c = p.scale, q.scale, p.location, q.location
    if type(scale_p) is Dense and type(scale_q) is Dense:
        b, d, kind = scale_p.matrix, scale_q.matrix, "covariance"
    elif type(scale_p) is Tril and type(scale_q) is Tril:
        b, d, kind = scale_p.factor, scale_q.factor, "scale_tril"
    else:
        return "not a pair of covariances or of Cholesky factors"
    if not isinstance(a, Tensor) or not isinstance(c, Tensor) or not a.ndim or not c.ndim:
        return "a number for a mean"
    n = b.shape[-1]
    if a.shape[-1] != n or c.shape[-1] != n or d.shape[-1] != n:
        return "events that differ"
    if a.shape != c.shape or b.shape != d.shape:
        try:
            broadcast_shapes(p.batch_shape, q.batch_shape)
        except RuntimeError:
            return "batches that do not broadcast"
    return (a, b, c, d), kind, 1  # type: ignore[return-value]
