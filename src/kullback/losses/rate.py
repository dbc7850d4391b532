"""Terms for training: the Kullback–Leibler divergence of posteriors from a prior, with what keeps it from collapsing.

Each returns one number, the mean over the batch. What differs between papers that use one name is the order of
clipping, averaging and stopping gradients; here the order is the name of the argument.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kullback.divergences.kl import kl_divergence, kl_per_dimension
from kullback.errors import NoClosedForm, ShapeError
from kullback.interop.registry import as_gaussian
from kullback.kernels.choice import accelerated_mean_kl


def kl_loss(p: Any, q: Any, weights: Any = None) -> Tensor:
    r"""The mean over rows of the weighted KL(p‖q): :math:`\operatorname{mean}_x w(x)\, D(p_x \,\|\, q_x)`.

    The same number as ``(weights * kl_divergence(p, q)).mean()``. Since the weight of every row is known beforehand,
    value and gradients are made in one pass over memory where a kernel can run.

    A mean over rows, so averaging it over the equal parts of a batch (data-parallel training) is right. For a mean over
    the rows of a mask, let the weights have mean 1: ``kl_loss(p, q, mask * (mask.numel() / mask.sum()))``.

    Shape:
        A number. ``weights`` broadcast to the batch shape of p and q.

    Args:
        p: the posteriors; whatever :func:`kl_divergence` takes.
        q: the prior, or priors.
        weights: a factor for each row; 1 if not given. β of a β-VAE is one factor for all: multiply the loss by it.

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
    p, q = as_gaussian(p, "p"), as_gaussian(q, "q")
    if weights is not None:
        weights = torch.as_tensor(weights)
    value = accelerated_mean_kl(p, q, weights)
    if value is not None:
        return value
    rows: Tensor = torch.as_tensor(kl_divergence(p, q))
    if weights is None:
        return rows.mean()
    try:
        factors = torch.as_tensor(weights).to(rows.dtype).expand(rows.shape)
    except RuntimeError:
        raise ShapeError(
            f"weights {tuple(weights.shape)} do not broadcast to the batch shape {tuple(rows.shape)}: one for each row."
        ) from None
    return (factors * rows).mean()


def free_bits(
    p: Any,
    q: Any,
    *,
    per_dimension: float | None = None,
    per_group: float | None = None,
    groups: int | Sequence[Sequence[int]] | None = None,
    after_mean: float | None = None,
) -> Tensor:
    r"""KL(p‖q) of which a given number of nats costs nothing, and has no gradient.

    Exactly one of these says how many, and where in the order the clipping comes:

    * ``per_dimension=λ``: clip, sum, mean. :math:`\operatorname{mean}_x \sum_i \max(\lambda, D_i(x))`: each coordinate
      of each row.
    * ``per_group=λ``: sum within groups, mean, clip, sum. :math:`\sum_g \max(\lambda, \operatorname{mean}_x D_g(x))`,
      as in the paper. ``groups`` is a number of equal runs of coordinates (by default each coordinate is a group), or
      the lists of their indices.
    * ``after_mean=λ``: sum, mean, clip. :math:`\max(\lambda, \operatorname{mean}_x D(x))`: the whole.

    Shape:
        A number. The batch has one dimension or more, all of which are averaged over; p and q have one event
        dimension if there are groups.
    Units:
        Nats, in spite of the name.

    Args:
        p: the posteriors; whatever :func:`kl_divergence` takes.
        q: the prior, or priors.
        per_dimension: nats free for each coordinate of each row. Diagonal p and q only.
        per_group: nats free for each group on average over the batch. Diagonal p and q only.
        groups: with ``per_group``, which groups.
        after_mean: nats free on average over the batch.

    Raises:
        ValueError: unless exactly one number of nats is given; or for groups that are not a partition.
        NoClosedForm: if coordinates are asked for and p or q is not diagonal; ``after_mean`` takes any pair.

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
    amounts = [x for x in (per_dimension, per_group, after_mean) if x is not None]
    if len(amounts) != 1 or not amounts[0] >= 0:
        raise ValueError("free_bits takes one of per_dimension, per_group and after_mean, a number of nats from 0 up.")
    if groups is not None and per_group is None:
        raise ValueError("groups belong to per_group.")
    p, q = as_gaussian(p, "p"), as_gaussian(q, "q")
    if after_mean is not None:
        return torch.as_tensor(kl_divergence(p, q)).mean().clamp(min=after_mean)
    if not (p.scale.is_diagonal and q.scale.is_diagonal):
        raise NoClosedForm(
            f"free_bits by coordinates takes diagonal Gaussians, got {p.scale.parameterization} and {q.scale.parameterization}, whose "
            "coordinates do not contribute one by one. after_mean takes any pair."
        )
    parts = torch.as_tensor(kl_per_dimension(p, q))
    if per_dimension is not None:
        clipped = parts.clamp(min=per_dimension)
        return clipped.sum(tuple(range(-p.event_dims, 0))).mean() if p.event_dims else clipped.mean()
    batch_dims = tuple(range(parts.ndim - p.event_dims))
    parts = parts.mean(batch_dims) if batch_dims else parts
    return torch.stack([x.sum() for x in _grouped(parts, groups)]).clamp(min=per_group).sum()


def _grouped(parts: Tensor, groups: int | Sequence[Sequence[int]] | None) -> Sequence[Tensor]:
    if groups is None:
        return parts.flatten().unbind()
    d = parts.shape[-1] if parts.ndim == 1 else -1
    if isinstance(groups, int):
        if groups < 1 or d < 0 or d % groups:
            raise ValueError(f"groups={groups} does not divide {d} coordinates into equal runs.")
        return parts.reshape(groups, -1).unbind()
    if sorted(i for group in groups for i in group) != list(range(d)):
        raise ValueError(f"groups must contain each of the {d} coordinates exactly once.")
    return [parts[list(group)] for group in groups]


def balanced_kl(p: Any, q: Any, *, balance: float = 0.8) -> Tensor:
    r"""KL(p‖q) whose gradient reaches the prior q more than the posterior p.

    .. math:: \operatorname{mean}_x \left[ b\, D(\operatorname{sg}(p) \,\|\, q)
        + (1-b)\, D(p \,\|\, \operatorname{sg}(q)) \right]

    sg stops gradients. The value is the mean of KL(p‖q), whatever the balance; the gradient for q is scaled by b, that
    for p by 1 − b: a prior that is learned should move to the posteriors rather than they to it.

    Args:
        p: the posteriors; whatever :func:`kl_divergence` takes.
        q: the learned prior, or priors.
        balance: b, between 0 and 1.

    Raises:
        ValueError: if the balance is not between 0 and 1.

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
    if not 0.0 <= balance <= 1.0:
        raise ValueError(f"balance is a number between 0 and 1, got {balance!r}.")
    p, q = as_gaussian(p, "p"), as_gaussian(q, "q")
    for_q, for_p = kl_divergence(p.detach(), q), kl_divergence(p, q.detach())
    return balance * torch.as_tensor(for_q).mean() + (1.0 - balance) * torch.as_tensor(for_p).mean()
