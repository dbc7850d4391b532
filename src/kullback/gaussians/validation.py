"""What a constructor checks: shapes always, values once and where looking is free."""

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.errors import NotPositiveDefinite, ShapeError
from kullback.gaussians.scales.diagonal import POSITIVE, Parameterization
from kullback.numerics.guard import is_concrete
from kullback.numerics.linear_algebra import lower_factor
from kullback.numerics.tensors import broadcast_shapes

# An eigenvalue of less than so many rounding errors of the largest may be 0; that of the correlations, too, which tells
# it from one of a coordinate in small units.
_DOUBTFUL, _DOUBTFUL_OF_CORRELATIONS = 5, 1000


def check_mean(mean: Tensor | float, *, validate: bool | None) -> None:
    """Raise a ValueError if a mean is NaN."""
    if validate is False:
        return
    if not isinstance(mean, Tensor):
        mean = torch.tensor(mean)
    # A sum is NaN if one of its terms is, and hardly ever otherwise.
    if should_validate(mean, validate=validate) and math.isnan(mean.detach().sum()):
        nan = mean.detach().isnan()
        if bool(nan.any()):
            raise ValueError(f"the mean is NaN (at {nan.nonzero()[0].tolist()}).")


@dataclass(frozen=True)
class Advice:
    """What a constructor says of scales that are not positive and finite."""

    begins: str
    """How the message begins."""
    negative: str
    zeros: str = ""
    infinite: str = ""


def _advice(parameterization: Parameterization, value: Tensor) -> Advice:
    """That of the constructor which is named after a parameterization."""
    logarithm = {"std": "log_std", "variance": "logvar"}.get(parameterization)
    zeros, infinite = (
        "" if logarithm is None else f" Did an exponential {how}? Pass its argument: from_{logarithm}."
        for how in ("underflow", "overflow")
    )
    if value.ndim > 1 and value.shape[-1] == value.shape[-2]:
        zeros = " If this is a covariance matrix: from_covariance."
    negative = " Is it a log-variance? Then use from_logvar. The logarithm of a standard deviation? Then from_log_std."
    return Advice(f"from_{parameterization} got", negative, zeros, infinite)


def check_scale_values(
    value: Tensor | float, parameterization: Parameterization, *, validate: bool | None, advice: Advice | None = None
) -> None:
    """Raise a ValueError unless every scale is positive and finite."""
    if validate is False:
        return
    if not isinstance(value, Tensor):
        value = torch.tensor(value, dtype=torch.float64)
    if value.numel() == 0 or not should_validate(value, validate=validate):
        return
    lowest, highest = (x.item() for x in torch.aminmax(value.detach()))
    positive = lowest > 0 if parameterization in POSITIVE else math.isfinite(lowest)
    if not (positive and math.isfinite(highest)):
        advice = advice or _advice(parameterization, value)
        raise ValueError(f"{advice.begins} {_describe(value.detach(), parameterization, advice)}")


def _describe(value: Tensor, parameterization: Parameterization, advice: Advice) -> str:
    """What is wrong with the values of a scale, and where: the end of a sentence."""

    def at(mask: Tensor) -> str:
        return f"at {mask.nonzero()[0].tolist()}" if mask.ndim else "as the number given"

    if value.isnan().any():
        return f"NaN ({at(value.isnan())})."
    if value.isinf().any():
        return f"an infinite value ({at(value.isinf())}).{advice.infinite}"
    lowest = value.amin()
    if lowest < 0:
        return f"negative values (min {lowest.item():.4g} {at(value == lowest)}).{advice.negative}"
    return f"zeros ({at(value == 0)}). A {parameterization} is positive.{advice.zeros}"


def shape_of(x: Tensor | float) -> tuple[int, ...]:
    """The shape of a tensor, or of a number."""
    return tuple(x.shape) if isinstance(x, Tensor) else ()


def should_validate(x: Tensor, *, validate: bool | None) -> bool:
    """``validate=None`` looks where looking is free (CPU), ``True`` wherever there is something to see."""
    if validate is False or not is_concrete(x):
        return False
    return validate is True or x.device.type == "cpu"


def check_matrix_shape(mean: Tensor | float, matrix: Tensor | float, name: str, *, square: bool = True) -> Tensor:
    """The matrix; a ShapeError unless it is d × d (or has d rows) for means of d coordinates."""
    if not isinstance(matrix, Tensor) or matrix.ndim < 2 or (square and matrix.shape[-1] != matrix.shape[-2]):
        expected = "(*batch, d, d)" if square else "(*batch, d, r)"
        hint = " One number or vector is a diagonal scale: from_std, from_variance or from_logvar."
        if not square:
            hint = f" One column: {name}[..., None]."
        raise ShapeError(f"{name} must have shape {expected}, got {shape_of(matrix)}.{hint}")
    event = matrix.shape[-2:-1]
    if isinstance(mean, Tensor) and mean.shape[-1:] != event:
        raise ShapeError(
            f"mean has event shape {tuple(mean.shape[-1:])}, {name} has {tuple(event)} (mean {shape_of(mean)}, "
            f"{name} {shape_of(matrix)}). Events do not broadcast."
            + (" The mean is a column: ravel it, mean[..., 0]." if mean.shape[-2:] == (*event, 1) else "")
        )
    batch = mean.shape[:-1] if isinstance(mean, Tensor) else torch.Size()
    if batch != matrix.shape[:-2]:
        broadcast_shapes(batch, matrix.shape[:-2], error=lambda: batches(mean, matrix, name))
    return matrix


def batches(mean: Tensor | float, scale: Tensor, name: str) -> str:
    """The message about batches that do not broadcast."""
    return f"batches do not broadcast: mean is {shape_of(mean)}, {name} is {shape_of(scale)}."


def check_finite(x: Tensor, name: str, *, validate: bool | None) -> None:
    """Raise a ValueError if a value is NaN or infinite."""
    if should_validate(x, validate=validate) and not torch.isfinite(x.detach()).all():
        bad = ~torch.isfinite(x.detach())
        raise ValueError(f"{name} has a value that is not finite: {x.detach()[bad][0].item()} at {_first(bad)}.")


def check_symmetric(matrix: Tensor, name: str) -> None:
    """Raise a ValueError if a matrix is not symmetric to the precision of its dtype, whose values are read."""
    x = matrix.detach().to(torch.promote_types(matrix.dtype, torch.float32))
    size = x.diagonal(dim1=-2, dim2=-1).abs().sqrt()
    eps = torch.finfo(matrix.dtype).eps
    asymmetric = (x - x.mT).abs() > max(1e-5, 4 * eps) * size.unsqueeze(-1) * size.unsqueeze(-2)
    if asymmetric.any():
        *index, i, j = asymmetric.nonzero()[0].tolist()
        at = f"{name}{index or ''}"
        raise ValueError(
            f"{at} is not symmetric: {x[(*index, i, j)].item():.7g} at [{i}, {j}], {x[(*index, j, i)].item():.7g} at "
            f"[{j}, {i}]. Is it a factor? Then use from_scale_tril (lower triangular) or from_low_rank."
        )


def check_positive_definite(matrix: Tensor, name: str, *, validate: bool | None) -> None:
    """Raise unless every matrix is finite, symmetric and positive definite to the precision of its dtype."""
    if matrix.numel() == 0 or not should_validate(matrix, validate=validate):
        return
    check_finite(matrix, name, validate=validate)
    check_symmetric(matrix, name)
    x = matrix.detach().to(torch.promote_types(matrix.dtype, torch.float32))
    diagonal = x.diagonal(dim1=-2, dim2=-1)
    size = diagonal.abs().sqrt()
    # The Cholesky factor shows where a matrix stops being positive definite; a pivot that is lost in the rounding of
    # its own diagonal element is none.
    factor, info = torch.linalg.cholesky_ex(0.5 * x + 0.5 * x.mT)
    pivots = factor.diagonal(dim1=-2, dim2=-1).square()
    eps = torch.finfo(x.dtype).eps
    singular = (info == 0).unsqueeze(-1) & (pivots <= eps * diagonal)
    if (info > 0).any() or singular.any():
        index = ((info > 0) | singular.any(-1)).nonzero()[0].tolist()
        here = tuple(index)
        pivot = int(info[here]) - 1 if info[here] > 0 else int(singular[here].nonzero()[0])
        raise NotPositiveDefinite(
            f"{name}{index or ''} is {'singular' if info[here] == 0 else 'not positive definite'} "
            f"(pivot {pivot} is {_pivot(x[here], pivot):.2g}).{_way_on(x[here], name)}"
        )
    left = (pivots / diagonal).clamp(max=1.0).sort(-1).values
    suspect = left[..., :2].prod(-1) < _DOUBTFUL_OF_CORRELATIONS * eps
    if suspect.any():
        _warn_of_rounding(x[suspect], size[suspect], suspect.nonzero(), name)


def _warn_of_rounding(x: Tensor, size: Tensor, where: Tensor, name: str) -> None:
    """Warn if one of these covariances is positive definite only by rounding."""
    correlations = x / size.unsqueeze(-1) / size.unsqueeze(-2)
    (least, most), (low, high) = ((v[:, 0], v[:, -1]) for v in map(torch.linalg.eigvalsh, (x, correlations)))
    eps = torch.finfo(x.dtype).eps
    doubtful = (least < _DOUBTFUL * eps * most) & (low < _DOUBTFUL_OF_CORRELATIONS * eps * high)
    if doubtful.any():
        first = int(doubtful.nonzero()[0])
        warnings.warn(
            f"{name}{where[first].tolist() or ''} is positive definite only by rounding: its smallest eigenvalue is "
            f"{float(least[first] / most[first]):.1g} of the largest, and {x.dtype} resolves {eps:.1g}. Divergences "
            "may have no correct digit; if it is singular by construction, they are infinite.",
            stacklevel=5,
        )


def _way_on(matrix: Tensor, name: str) -> str:
    """What may be done about a matrix that is not positive definite."""
    eps, exact = torch.finfo(matrix.dtype).eps, matrix.double()
    by_construction = " If it is singular by construction, pass singular=True." if name == "covariance" else ""
    if matrix.dtype == torch.float32 and int(torch.linalg.cholesky_ex(exact).info) == 0:
        return (
            f" In float64 these numbers are: pass {name}.double(), better still what it was computed from."
            + by_construction
        )
    eigenvalues = torch.linalg.eigvalsh(0.5 * (exact + exact.mT))
    least, most = float(eigenvalues[0]), float(eigenvalues.abs().max())
    if least < -1e3 * eps * most:
        return f" Its smallest eigenvalue, {least:.2g}, is not 0 but for rounding: no Gaussian has this {name}."
    float64 = f" Computed in float64, {name} may be positive definite." if matrix.dtype == torch.float32 else ""
    small = 1e-6 * float(exact.diagonal().abs().mean())
    c = 10.0 ** math.ceil(math.log10(max(0.99 * small, -2.0 * least, torch.finfo(torch.float64).tiny)))
    return (
        f"{float64}{by_construction} Other libraries add a diagonal to it silently. If you want one, add it yourself: "
        f"{name} + c I, with c = {c:.0e} for example. What it costs: where the matrix has nothing of its own, "
        "divergences are then proportional to 1/c, and entropies contain log c."
    )


def _pivot(matrix: Tensor, k: int) -> float:
    """What is left of diagonal element k once the coordinates before it have been eliminated."""
    leading = torch.linalg.cholesky_ex(matrix[:k, :k]).L
    row = torch.linalg.solve_triangular(leading, matrix[:k, k : k + 1], upper=False)
    return float(matrix[k, k] - row.square().sum())


def check_factor(matrix: Tensor, name: str, *, validate: bool | None) -> None:
    """Raise unless every matrix is finite and lower triangular with a positive diagonal."""
    if matrix.numel() == 0 or not should_validate(matrix, validate=validate):
        return
    check_finite(matrix, name, validate=validate)
    above = matrix.detach().triu(1) != 0
    if above.any():
        raise ValueError(
            f"{name} is not lower triangular ({matrix.detach()[above][0].item():.4g} at {_first(above)}). "
            "Is it a covariance? Then use from_covariance. Another factor of one? Then from_factor."
        )
    diagonal = matrix.detach().diagonal(dim1=-2, dim2=-1)
    if not (diagonal > 0).all():
        *index, pivot = _first(~(diagonal > 0))
        raise NotPositiveDefinite(
            f"{name}{index or ''} is {'singular' if diagonal[(*index, pivot)] == 0 else 'no Cholesky factor'} "
            f"(pivot {pivot} is {diagonal[(*index, pivot)].item():.2g}); the diagonal of a Cholesky factor is positive."
        )


def triangular(factor: Tensor, *, validate: bool | None) -> Tensor:
    """The lower triangular factor of the same covariance.

    Raises:
        NotPositiveDefinite: if the covariance is singular to the precision of the dtype.
    """
    lower = lower_factor(factor.mT)
    if should_validate(lower, validate=validate):
        left = lower.detach().diagonal(dim1=-2, dim2=-1) / torch.linalg.vector_norm(factor.detach(), dim=-1)
        lost = ~(left > _DOUBTFUL * torch.finfo(factor.dtype).eps)
        if lost.any():
            *index, row = _first(lost)
            raise NotPositiveDefinite(
                f"factor{index or ''} is singular: row {row} is 0, or a linear function of those before it. If it is "
                "meant to be, as of a box without width, pass singular=True."
            )
    return lower


def _first(mask: Tensor) -> list[int]:
    index: list[int] = mask.nonzero()[0].tolist()
    return index
