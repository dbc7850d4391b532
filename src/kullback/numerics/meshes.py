"""Tensors of torch that are distributed over a mesh of devices, beside constants that are not."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import Parameter

from kullback.numerics.classes import class_names

# A tuple: the compiler of torch 2.6 does not take a set.
_PLAIN = Tensor, Parameter


def is_distributed(x: Tensor) -> bool:
    """Whether a tensor is a ``DTensor``."""
    return type(x) not in _PLAIN and "DTensor" in class_names(x, "torch.distributed.tensor")


def first_distributed(tensors: Sequence[Tensor]) -> Tensor | None:
    """The first of these that is distributed; None if none is.

    Raises:
        TypeError: if some are and some are not: a process may hold a part of all rows, or all of them.
    """
    for x in tensors:  # faster than all(), and every call of a divergence asks
        if type(x) not in _PLAIN:
            break
    else:
        return None
    of_mesh = [is_distributed(x) for x in tensors]
    if not any(of_mesh):
        return None
    if not all(of_mesh):
        plain, other = tensors[of_mesh.index(False)], tensors[of_mesh.index(True)]
        raise TypeError(
            f"p and q mix a DTensor of shape {tuple(other.shape)} and a plain tensor of shape {tuple(plain.shape)}, "
            "which may be all rows or a part: distribute both by distribute_tensor, or take to_local() of both."
        )
    return tensors[0]


def replicated(x: Tensor, like: Tensor) -> Tensor:
    """A constant, which every process has, on the mesh of a distributed tensor."""
    from torch.distributed.tensor import DTensor, Replicate

    assert isinstance(like, DTensor)
    mesh = like.device_mesh
    placed: Tensor = DTensor.from_local(x, mesh, [Replicate()] * mesh.ndim, run_check=False)
    return placed
