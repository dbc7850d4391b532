"""Rotations beside scales, as boxes and splats hold them."""

import torch
from torch import Tensor

from kullback.errors import ShapeError


def factor_of(rotation: Tensor, scale: Tensor) -> Tensor:
    """The factor R diag(s) of a rotation, as a matrix or as a quaternion, and scales ``(*batch, d)``.

    Raises:
        ShapeError: if the rotation is neither for d coordinates.
    """
    d = scale.shape[-1]
    if rotation.shape[-2:] == (d, d):
        return rotation * scale.unsqueeze(-2)
    if d == 3 and rotation.shape[-1:] == (4,):
        return _matrix(rotation) * scale.unsqueeze(-2)
    raise ShapeError(
        f"a rotation of {d} coordinates has the shape (*batch, {d}, {d})"
        + (", or (*batch, 4) as a quaternion (w, x, y, z)" if d == 3 else "")
        + f"; got {tuple(rotation.shape)}."
    )


def _matrix(quaternion: Tensor) -> Tensor:
    """The rotation of a quaternion ``(w, x, y, z)`` of any length but 0."""
    w, x, y, z = (quaternion / torch.linalg.vector_norm(quaternion, dim=-1, keepdim=True)).unbind(-1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, -1) for row in rows], -2)
