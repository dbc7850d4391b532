r"""Changes of variables: what a transformed distribution of torch is the image of, and what two of them have in common.

A change of variables on both sides changes no divergence of densities, so that what two chains of transforms end in
alike can be left out. Chains that are written differently are brought to one form first: tanh is a sigmoid between two
affine maps, :math:`\tanh x = 2 \sigma(2x) - 1`, and successive affine maps are one.
"""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    AffineTransform,
    ComposeTransform,
    Distribution,
    Independent,
    IndependentTransform,
    SigmoidTransform,
    TanhTransform,
    Transform,
    TransformedDistribution,
    constraints,
)

from kullback.interop.injectivity import is_one_to_one
from kullback.numerics.elementary import log_linear_exp

Chain = list[Transform]


def split(x: Any) -> tuple[Distribution, Chain] | None:
    """A transformed distribution as its base, with as many event dimensions, and its transforms one by one.

    None for anything else, and where a transform is many-to-one on the points that it is applied to, or the density is
    not that of the transforms.
    """
    event_dims = len(x.event_shape) if isinstance(x, Distribution) else 0
    while isinstance(x, Independent):
        x = x.base_dist
    if not isinstance(x, TransformedDistribution) or type(x).log_prob is not TransformedDistribution.log_prob:
        return None
    chain = [part for t in x.transforms for part in _parts(t)]
    more = event_dims - len(x.event_shape)
    base = Independent(x.base_dist, more) if more > 0 else x.base_dist
    inner = split(base)
    if inner is not None:
        base, chain = inner[0], inner[1] + chain
    return (base, chain) if is_one_to_one(chain, base) else None


def is_folded(x: Any) -> bool:
    """Whether it is an image by a map that is not one-to-one, of which torch's log_prob is not the density."""
    while isinstance(x, Independent):
        x = x.base_dist
    generic = isinstance(x, TransformedDistribution) and type(x).log_prob is TransformedDistribution.log_prob
    return generic and split(x) is None


def _parts(transform: Transform) -> Chain:
    if isinstance(transform, ComposeTransform):
        return [part for t in transform.parts for part in _parts(t)]
    if isinstance(transform, IndependentTransform):
        return _parts(transform.base_transform)
    return [transform]


def image(base: Distribution, chain: Chain) -> Distribution:
    """The distribution of the images of points of another one."""
    return TransformedDistribution(base, chain) if chain else base


def without_common_end(p: Chain, q: Chain) -> tuple[Chain, Chain, Chain]:
    """Two chains without the transforms that they end in alike, as they are written or in one form; and these."""
    p, q, common = _without_equal_end(p, q)
    if not p or not q:
        return p, q, common
    shorter_p, shorter_q, more = _without_equal_end(_in_one_form(p), _in_one_form(q))
    return (shorter_p, shorter_q, more + common) if more else (p, q, common)


def _without_equal_end(p: Chain, q: Chain) -> tuple[Chain, Chain, Chain]:
    same = 0
    for a, b in zip(reversed(p), reversed(q), strict=False):
        if a is not b and a != b:
            break
        same += 1
    return p[: len(p) - same], q[: len(q) - same], p[len(p) - same :]


def _in_one_form(chain: Chain) -> Chain:
    """The same map, with sigmoids for hyperbolic tangents, and affine maps joined."""
    found: Chain = []
    for t in (part for each in chain for part in _without_tanh(each)):
        before = found.pop() if found and isinstance(t, AffineTransform) else None
        if isinstance(t, AffineTransform) and isinstance(before, AffineTransform):
            found.append(AffineTransform(t.loc + t.scale * before.loc, t.scale * before.scale))
        else:
            found += [t] if before is None else [before, t]
    return found


def _without_tanh(t: Transform) -> Chain:
    if type(t) is not TanhTransform:
        return [t]
    return [AffineTransform(0.0, 2.0), SigmoidTransform(), AffineTransform(-1.0, 2.0)]


def as_one_squashing(p: Chain, q: Chain) -> tuple[Chain, Chain]:
    """Two chains that end in sigmoids and affine maps, such as tanh to different bounds, without them.

    The first gets the map from its own argument of the sigmoid to that of the other one instead, which unlike the
    points themselves does not round to a bound. Other chains are unchanged.
    """
    rounding = max(map(_rounding, p + q), default=0.0)
    end_p, end_q = (_squashing(_in_one_form([_in_doubles(t) for t in chain])) for chain in (p, q))
    if end_p is None or end_q is None:
        return p, q
    (before_p, *bounds_p), (before_q, *bounds_q) = end_p, end_q
    return [*before_p, BetweenSigmoids(*bounds_p, *bounds_q, rounding=rounding)], before_q


def _in_doubles(t: Transform) -> Transform:
    """The same map, with tensors of affine maps in float64, so that bounds have no rounding errors of our own."""
    if not isinstance(t, AffineTransform):
        return t
    loc, scale = (x.double() if isinstance(x, Tensor) else x for x in (t.loc, t.scale))
    return AffineTransform(loc, scale)


def _rounding(t: Transform) -> float:
    """The relative precision of what an affine map was given as."""
    values = (t.loc, t.scale) if isinstance(t, AffineTransform) else ()
    dtypes = [x.dtype for x in values if isinstance(x, Tensor) and x.is_floating_point()]
    return max((torch.finfo(dtype).eps for dtype in dtypes), default=torch.finfo(torch.float64).eps)


def _squashing(chain: Chain) -> tuple[Chain, Tensor, Tensor] | None:
    """What comes before a sigmoid and an affine map at the end, and the images of 0 and 1 by that."""
    shift: Any = 0.0
    scale: Any = 1.0
    if chain and isinstance(chain[-1], AffineTransform):
        shift, scale, chain = chain[-1].loc, chain[-1].scale, chain[:-1]
    if not chain or type(chain[-1]) is not SigmoidTransform:
        return None
    low, high = (x if isinstance(x, Tensor) else torch.tensor(x, dtype=torch.float64) for x in (shift, shift + scale))
    return chain[:-1], low, high


class BetweenSigmoids(Transform):
    r"""The map :math:`z \mapsto z'` for which one sigmoid takes z to the point to which another one takes z'.

    With :math:`u = \sigma(z)` between the bounds l and h of the one, and l' and h' of the other,
    :math:`\sigma(z') = (l + (h - l) u - l') / (h' - l')`, so that

    .. math:: z' = \log \frac{(h - l') e^z + (l - l')}{(h' - h) e^z + (h' - l)} = \log \frac{a}{b}, \qquad
        \log \left|\frac{dz'}{dz}\right| = \log |h - l| + \log |h' - l'| + z - \log |a| - \log |b| .

    Where the bounds of the one lie within those of the other, nothing cancels, however large z is; elsewhere some z lie
    outside of the domain. Bounds that differ by less than the rounding of what they were computed from are the same.
    """

    bijective = True
    codomain = constraints.real

    def __init__(self, low: Tensor, high: Tensor, low_other: Tensor, high_other: Tensor, *, rounding: float) -> None:
        super().__init__()
        self.domain = _Domain(self)
        size = torch.stack(torch.broadcast_tensors(low, high, low_other, high_other)).detach().abs().amax(0)
        sign = (high_other - low_other).sign()

        def difference(x: Tensor, y: Tensor) -> Tensor:
            return torch.where((x - y).abs() <= 4 * rounding * size, 0.0, (x - y) * sign)

        self.log_sizes = (high - low).abs().log() + (high_other - low_other).abs().log()
        self.above = difference(high, low_other), difference(low, low_other)
        self.below = difference(high_other, high), difference(high_other, low)

    def numerator_and_denominator(self, z: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """The logarithms of a and b, each with whether it is positive."""
        return log_linear_exp(*self.above, z), log_linear_exp(*self.below, z)

    def _call(self, z: Tensor) -> Tensor:
        (a, _), (b, _) = self.numerator_and_denominator(z)
        return a - b

    def log_abs_det_jacobian(self, z: Tensor, _: Tensor) -> Tensor:
        """The second formula of the class."""
        (a, _), (b, _) = self.numerator_and_denominator(z)
        return self.log_sizes + z - a - b


class _Domain(constraints.Constraint):
    def __init__(self, transform: BetweenSigmoids) -> None:
        self.transform = transform
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        (_, above), (_, below) = self.transform.numerator_and_denominator(value)
        return above & below
