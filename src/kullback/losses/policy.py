r"""Terms of the divergence of a policy from a reference, for each token or action that was drawn from the policy.

With :math:`r = q(x) / p(x)` for x drawn from p, the averages of :math:`k_1 = -\log r`, :math:`k_2 = \tfrac12 \log^2 r`
and :math:`k_3 = r - 1 - \log r` estimate :math:`D(p \,\|\, q)`. The third is the shape of the scale term of Gaussians,
and is computed in the same form, which does not cancel.
"""

from typing import Any

import torch
from torch import Tensor

from kullback.losses.masks import as_mask
from kullback.numerics.elementary import half_phi


def k1(log_ratio: Tensor, mask: Any = None) -> Tensor:
    """The first: minus the log-ratio. Its average is unbiased; its gradient is 0 on average. See :func:`k3`."""
    return _masked(lambda d: -d, log_ratio, mask)


def k2(log_ratio: Tensor, mask: Any = None) -> Tensor:
    """The second: half of the square of the log-ratio. Its average is biased, its gradient is not. See :func:`k3`."""
    return _masked(lambda d: d * (0.5 * d), log_ratio, mask)


def k3(log_ratio: Tensor, mask: Any = None) -> Tensor:
    r"""The third: :math:`e^d - 1 - d` of the log-ratio d, the reference's log-probability less the policy's.

    Which of the three to take, with gradients through the log-probabilities of what was drawn:

    * as a number to watch: k3, whose average is unbiased like that of k1, and whose terms are never negative;
    * as a loss: k2, whose gradient is on average that of :math:`D(p \,\|\, q)`. That of k1 is 0 on average, and that of
      k3 is on average the gradient of :math:`D(q \,\|\, p)`.

    Shape:
        That of ``log_ratio``: nothing is summed or averaged.
    Units:
        Nats.
    Gradient:
        :math:`e^d - 1`, to the last digits also near 0.
    Stability:
        Never negative, and 0 at 0; within 4 units in the last place. Infinite where :math:`e^d` is, in float32 from
        88.7 on. float16 and bfloat16 are computed in, and give, float32.

    Args:
        log_ratio: ``reference_log_probs - policy_log_probs``, a floating tensor of any shape.
        mask: which entries count, True or False, or 1 or 0, of a shape that broadcasts. Others give 0, with gradient 0,
            whatever they hold.

    Returns:
        A tensor of at least float32.

    Raises:
        TypeError: unless the log-ratio is a dense floating tensor.
        ValueError: if the mask has other values than True and False, or 1 and 0.

    Reference:
        J. Schulman, Approximating KL divergence, 2020, http://joschu.net/blog/kl-approx.html.

    Example:
        >>> import torch
        >>> from kullback.losses import k3
        >>> k3(torch.tensor([0.0, 1e-4, -1.0]))
        tensor([0.0000e+00, 5.0002e-09, 3.6788e-01])
    """
    return _masked(lambda d: 2.0 * half_phi(d), log_ratio, mask)


def _masked(term: Any, log_ratio: Tensor, mask: Any) -> Tensor:
    if not isinstance(log_ratio, Tensor) or not log_ratio.is_floating_point():
        raise TypeError(
            "log_ratio is a floating tensor, reference_log_probs - policy_log_probs, got "
            f"{getattr(log_ratio, 'dtype', type(log_ratio).__name__)}."
        )
    if log_ratio.is_nested or log_ratio.layout is not torch.strided:
        raise TypeError("log_ratio is a dense tensor, got a sparse or nested one: its .to_dense(), or a padded one.")
    d = log_ratio.to(torch.promote_types(log_ratio.dtype, torch.float32))
    if mask is None:
        return term(d)  # type: ignore[no-any-return]
    counts = as_mask(mask, "an entry").to(d.device)
    # Taken out before and after, so that what is masked gives no gradient that is NaN.
    return torch.where(counts, term(torch.where(counts, d, 0.0)), 0.0)
