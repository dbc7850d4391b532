"""The rate term of a VAE's loss: the divergence of posteriors from a prior, plain or modified against collapse.

Each function returns one number, a mean over the batch. Papers that use one name for a modification differ in the order
of clipping, averaging and stopping gradients; here the name of the argument states the order.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kullback.divergences.kl import kl_divergence, kl_per_dimension
from kullback.errors import NoClosedForm, ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.interop.registry import gaussians_for
from kullback.kernels.choice import accelerated_mean_kl
from kullback.losses.masks import rows_that_count
from kullback.numerics.arrays import from_callers_type


def kl_loss(p: Any, q: Any, weights: Any = None, *, mask: Any = None) -> Tensor:
    r"""The weighted mean of KL(p‖q) over the batch: :math:`\operatorname{mean}_x w(x)\, D(p_x \,\|\, q_x)`.

    It equals ``(weights * kl_divergence(p, q)).mean()``. Where a kernel can run, value and gradients are computed in
    one pass over memory, since the weights are known beforehand.

    Because it is a mean over rows, its average over equal parts of a batch (data-parallel training) is that of the
    whole batch. With a mask it is the mean over the rows that count, such as the steps of padded sequences.

    Shape:
        A single number. ``weights`` broadcast to the batch shape of p and q.
    Units:
        Nats.
    Gradient:
        Flows to p, q and the weights.

    Args:
        p: the posteriors: a batch of Gaussians, or of anything else that :func:`kl_divergence` takes.
        q: the prior, or a batch of priors.
        weights: a factor for each row; 1 if not given. The β of a β-VAE is one factor for all rows: multiply the loss.
            A factor of 0 does not shut a row out, since 0 · NaN is NaN: that is what the mask is for.
        mask: which rows count, of the batch shape. Others have no part in the value and gradients that are 0, whatever
            they hold: a standard deviation of 0 in the padding needs ``validate=False``.

    Returns:
        A tensor without dimensions, also for NumPy arrays.

    Raises:
        ShapeError: if the events differ, the batches do not broadcast, the weights do not broadcast to the batch, or
            the mask has another shape.
        ValueError: if no row counts, or the mask has other values than True and False, or 1 and 0.
        NoClosedForm: for distributions that are not Gaussians.

    Reference:
        D. P. Kingma and M. Welling, Auto-encoding variational Bayes, ICLR 2014.

    Example:
        >>> import torch
        >>> from kullback import Gaussian
        >>> from kullback.losses import kl_loss
        >>> p = Gaussian.from_std(torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.ones(2, 2))
        >>> kl_loss(p, Gaussian.standard(2)), kl_loss(p, Gaussian.standard(2), weights=torch.tensor([2.0, 0.0]))
        (tensor(1.2500), tensor(0.5000))
    """
    p, q = gaussians_for("kl_loss", p, q)
    if weights is not None and not isinstance(weights, Tensor):
        try:
            weights = torch.as_tensor(weights, device="cpu")
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(f"weights must be numbers, one for each row or one for all, got {weights!r}.") from None
    if mask is not None:
        p, q, rows_counted = rows_that_count(p, q, mask)
        if weights is not None and weights.ndim:
            weights = weights.expand(rows_counted.shape)[rows_counted]
    value = accelerated_mean_kl(p, q, weights)
    if value is not None:
        return value
    rows: Tensor = from_callers_type(kl_divergence(p, q))
    if weights is None:
        return rows.mean()
    try:
        factors = weights.to(rows).expand(rows.shape)
    except RuntimeError:
        raise ShapeError(
            f"weights of shape {tuple(weights.shape)} do not broadcast to the batch shape {tuple(rows.shape)}: pass "
            "one for each row."
        ) from None
    mean: Tensor = (factors * rows).mean()
    return mean


def free_bits(
    p: Any,
    q: Any,
    *,
    per_dimension: float | None = None,
    per_group: float | None = None,
    groups: int | Sequence[Sequence[int]] | None = None,
    per_row: float | None = None,
    after_mean: float | None = None,
    mask: Any = None,
) -> Tensor:
    r"""The mean of KL(p‖q) over the batch, clipped from below: a number λ of nats is free and has no gradient.

    Exactly one argument gives λ; its name states where in the order of operations the clipping comes:

    * ``per_dimension=λ``: clip, sum, mean: :math:`\operatorname{mean}_x \sum_i \max(\lambda, D_i(x))` over the
      coordinates i.
    * ``per_group=λ``: sum within groups, mean, clip, sum: :math:`\sum_g \max(\lambda, \operatorname{mean}_x D_g(x))`
      over groups g of coordinates. This is the order of the paper.
    * ``per_row=λ``: sum, clip, mean: :math:`\operatorname{mean}_x \max(\lambda, D(x))`, as world models do for each
      step.
    * ``after_mean=λ``: sum, mean, clip: :math:`\max(\lambda, \operatorname{mean}_x D(x))`.

    Shape:
        A single number. All batch dimensions are averaged over; with ``groups``, p and q have one event dimension.
    Units:
        Nats, in spite of the name.
    Gradient:
        Flows to p and q, but not from what is clipped.

    Args:
        p: the posteriors: a batch of Gaussians, or of anything else that :func:`kl_divergence` takes.
        q: the prior, or a batch of priors.
        per_dimension: λ for each coordinate of each row. For diagonal p and q only.
        per_group: λ for each group, after the mean over the batch. For diagonal p and q only.
        groups: for ``per_group``: the number of groups of consecutive coordinates, equally many in each, or a list of
            the indices of each group; by default each coordinate is a group.
        per_row: λ for each row.
        after_mean: λ for the mean over the batch.
        mask: which rows count, of the batch shape, as in :func:`kl_loss`: means are over these. Others have no part in
            the value and gradients that are 0, whatever they hold: a standard deviation of 0 in the padding needs
            ``validate=False``.

    Returns:
        A tensor without dimensions, also for NumPy arrays.

    Raises:
        ValueError: unless exactly one λ is given, which is not negative; if the groups are not a partition; or for a
            mask that :func:`kl_loss` does not take.
        ShapeError: if the events differ, the batches do not broadcast, or the mask has another shape.
        TypeError: for True in the place of a number.
        NoClosedForm: for ``per_dimension`` and ``per_group`` if p or q is not diagonal; the others take any pair.

    Reference:
        D. P. Kingma, T. Salimans, R. Jozefowicz, X. Chen, I. Sutskever and M. Welling, Improved variational inference
        with inverse autoregressive flow, NeurIPS 2016.

    Example:
        >>> import torch
        >>> from kullback import Gaussian
        >>> from kullback.losses import free_bits
        >>> p = Gaussian.from_std(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.ones(2, 2))
        >>> q = Gaussian.standard(2)
        >>> free_bits(p, q, per_dimension=0.5), free_bits(p, q, per_group=0.5), free_bits(p, q, after_mean=0.5)
        (tensor(1.7500), tensor(1.5000), tensor(1.))
    """
    given = {"per_dimension": per_dimension, "per_group": per_group, "per_row": per_row, "after_mean": after_mean}
    for name, x in given.items():
        _check_no_bool(name, x, "nats, 0.5 for example")
    amounts = [x for x in given.values() if x is not None]
    if len(amounts) != 1 or not _is_number(amounts[0], 0.0):
        raise ValueError(
            "free_bits takes one of per_dimension, per_group, per_row and after_mean, a number of nats from 0 up, got "
            f"{amounts or 'none'}."
        )
    if groups is not None and per_group is None:
        raise ValueError("groups belong to per_group: pass per_group as well, or leave groups out.")
    p, q = gaussians_for("free_bits", p, q)
    if mask is not None:
        p, q, _ = rows_that_count(p, q, mask)
    if per_row is not None:
        return _mean_of_clipped(p, q, per_row)
    if after_mean is not None:
        return from_callers_type(kl_divergence(p, q)).mean().clamp(min=after_mean)
    if not (p.scale.is_diagonal and q.scale.is_diagonal):
        raise NoClosedForm(
            f"free_bits by coordinates takes diagonal Gaussians, got {p.scale.parameterization} and "
            f"{q.scale.parameterization}, whose divergence is not a sum over coordinates. per_row and after_mean take "
            "any pair."
        )
    parts = from_callers_type(kl_per_dimension(p, q))
    if per_dimension is not None:
        clipped = parts.clamp(min=per_dimension)
        return clipped.sum(tuple(range(-p.event_dims, 0))).mean() if p.event_dims else clipped.mean()
    batch_dims = tuple(range(parts.ndim - p.event_dims))
    parts = parts.mean(batch_dims) if batch_dims else parts
    return torch.stack([x.sum() for x in _grouped(parts, groups)]).clamp(min=per_group).sum()


def _is_number(x: Any, low: float, high: float = math.inf) -> bool:
    """Whether it is one number, between these."""
    one = isinstance(x, int | float | np.number) or (isinstance(x, Tensor) and not x.ndim)
    return one and bool(low <= x <= high)


def _check_no_bool(name: str, x: Any, what: str) -> None:
    if isinstance(x, bool | np.bool_) or (isinstance(x, Tensor) and x.dtype == torch.bool):
        raise TypeError(f"{name} is a number of {what}, got {bool(x) if not getattr(x, 'ndim', 0) else x}.")


def _mean_of_clipped(p: Gaussian, q: Gaussian, free: float) -> Tensor:
    mean: Tensor = from_callers_type(kl_divergence(p, q)).clamp(min=free).mean()
    return mean


def _grouped(parts: Tensor, groups: int | Sequence[Sequence[int]] | None) -> Sequence[Tensor]:
    """The parts of the coordinates of each group."""
    if groups is None:
        return parts.flatten().unbind()
    d = parts.shape[-1] if parts.ndim == 1 else -1
    if isinstance(groups, int):
        if groups < 1 or d < 0 or d % groups:
            raise ValueError(f"groups={groups} does not divide {d} coordinates into equal runs.")
        return parts.reshape(groups, -1).unbind()
    if sorted(i for group in groups for i in group) != list(range(d)):
        raise ValueError(f"groups must contain each of the {d} coordinates exactly once, got {groups!r}.")
    return [parts[list(group)] for group in groups]


def balanced_kl(p: Any, q: Any, *, balance: float = 0.8, free: float = 0.0, mask: Any = None) -> Tensor:
    r"""The mean of KL(p‖q) over the batch, with separate factors for the gradients of the posterior and the prior.

    .. math:: \operatorname{mean}_x \left[ b\, D(\operatorname{sg}(p) \,\|\, q)
        + (1-b)\, D(p \,\|\, \operatorname{sg}(q)) \right]

    Here sg stops gradients. The value is the mean of KL(p‖q) for every balance b; the gradient for q is scaled by b,
    that for p by 1 − b. With b > ½ a learned prior moves towards the posteriors more than they move towards it. The
    divergence of each row is clipped from below by ``free`` nats before the mean, as in ``free_bits(per_row=…)``.

    Shape:
        A single number.
    Units:
        Nats.
    Gradient:
        Flows to p and q, scaled as stated.

    Args:
        p: the posteriors: a batch of Gaussians, or of anything else that :func:`kl_divergence` takes.
        q: the learned prior, or a batch of priors.
        balance: b, from 0 to 1.
        free: nats of each row that are free and have no gradient.
        mask: which rows count, of the batch shape, as in :func:`kl_loss`: the mean is over these. Others have no part
            in the value and gradients that are 0, whatever they hold: a standard deviation of 0 in the padding needs
            ``validate=False``.

    Returns:
        A tensor without dimensions, also for NumPy arrays.

    Raises:
        ValueError: if the balance is not between 0 and 1, ``free`` is negative, or for a mask that :func:`kl_loss`
            does not take.
        ShapeError: if the events differ, the batches do not broadcast, or the mask has another shape.
        TypeError: for True in the place of a number.
        NoClosedForm: for distributions that are not Gaussians.

    Reference:
        D. Hafner, T. Lillicrap, M. Norouzi and J. Ba, Mastering Atari with discrete world models, ICLR 2021.

    Example:
        >>> import torch
        >>> from kullback import Gaussian
        >>> from kullback.losses import balanced_kl
        >>> mu = torch.ones(1, requires_grad=True)
        >>> loss = balanced_kl(Gaussian.from_std(mu, torch.ones(1)), Gaussian.standard(1), balance=0.75)
        >>> loss.backward()
        >>> loss.item(), mu.grad.item()
        (0.5, 0.25)
    """
    _check_no_bool("balance", balance, "0 to 1")
    _check_no_bool("free", free, "nats, 0.5 for example")
    if not _is_number(balance, 0.0, 1.0):
        raise ValueError(f"balance is a number between 0 and 1, got {balance!r}.")
    if not _is_number(free, 0.0):
        raise ValueError(f"free is a number of nats from 0 up, got {free!r}.")
    p, q = gaussians_for("balanced_kl", p, q)
    if mask is not None:
        p, q, _ = rows_that_count(p, q, mask)
    for_q, for_p = _mean_of_clipped(p.detach(), q, free), _mean_of_clipped(p, q.detach(), free)
    return balance * for_q + (1.0 - balance) * for_p
