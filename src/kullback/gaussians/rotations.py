"""Rotations beside scales, as boxes and splats hold them."""

import torch
from torch import Tensor

from kullback.errors import ShapeError
from kullback.gaussians.validation import should_validate
from kullback.numerics.elementary import power_of_two
from kullback.numerics.linear_algebra import identity_like


def factor_of(rotation: Tensor, scale: Tensor, *, validate: bool | None) -> Tensor:
    """The factor R diag(s) of a rotation, as a matrix or as a quaternion, and scales ``(*batch, d)``.

    Raises:
        ShapeError: if the rotation is neither for d coordinates.
        ValueError: if a matrix is not orthogonal, or a quaternion is 0.
    """
    d = scale.shape[-1]
    if rotation.shape[-2:] == (d, d):
        _check_orthogonal(rotation, validate=validate)
        return rotation * scale.unsqueeze(-2)
    if d == 3 and rotation.shape[-1:] == (4,):
        if should_validate(rotation, validate=validate) and not rotation.detach().any(-1).all():
            raise ValueError("a quaternion of a rotation is not 0; one of these is.")
        return _matrix(rotation) * scale.unsqueeze(-2)
    raise ShapeError(
        f"a rotation of {d} coordinates has the shape (*batch, {d}, {d})"
        + (", or (*batch, 4) as a quaternion (w, x, y, z)" if d == 3 else "")
        + f"; got {tuple(rotation.shape)}."
    )


def _check_orthogonal(rotation: Tensor, *, validate: bool | None) -> None:
    if not should_validate(rotation, validate=validate):
        return
    x = rotation.detach().double()
    off = (x.mT @ x - identity_like(x)).abs().flatten(-2).amax(-1)
    limit = max(1e-5, 100 * torch.finfo(rotation.dtype).eps)
    if not bool((off <= limit).all()):
        raise ValueError(
            f"a rotation R is orthogonal; here an element of R^T R - I is {float(off.max()):.2g}. Any other factor of "
            "a covariance: from_factor(mean, A)."
        )


def _matrix(quaternion: Tensor) -> Tensor:
    """The rotation of a quaternion ``(w, x, y, z)`` of any length but 0."""
    quaternion = quaternion / power_of_two(quaternion.detach().abs().amax(-1, keepdim=True))
    w, x, y, z = (quaternion / torch.linalg.vector_norm(quaternion, dim=-1, keepdim=True)).unbind(-1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, -1) for row in rows], -2)
