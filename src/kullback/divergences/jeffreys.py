r"""Jeffreys' divergence: both directions of the Kullback–Leibler divergence, a sum of non-negative terms."""

from torch import Tensor

from kullback.divergences.formula import divergence
from kullback.divergences.record import Record
from kullback.gaussian import Gaussian
from kullback.relative.relate import relate

JEFFREYS = Record(
    name="jeffreys",
    title="Jeffreys divergence",
    formula=r"D(p \| q) + D(q \| p)",
    symmetric=True,
    metric=False,
    bounded=False,
    invariance="affine",
    reference="H. Jeffreys, Proceedings of the Royal Society A 186, 1946",
)


@divergence(JEFFREYS)
def jeffreys(p: Gaussian, q: Gaussian) -> Tensor:
    r"""Jeffreys' divergence :math:`D(p \,\|\, q) + D(q \,\|\, p)`, in nats.

    Some authors take half of it; this is the sum. Shape, gradients, accuracy, arguments and errors are those of
    :func:`kl_divergence`.

    Reference:
        H. Jeffreys, An invariant form for the prior probability in estimation problems, Proceedings of the Royal
        Society A 186, 1946.

    Example:
        >>> from kullback import Gaussian, jeffreys
        >>> float(jeffreys(Gaussian.from_std([0.0], [1.0]), Gaussian.from_std([1.0], [1.0])))
        1.0
    """
    there, back = relate(p, q), relate(q, p)
    return there.half_excess() + back.half_excess() + there.half_square() + back.half_square()
