"""The table of divergences, in the order in which people look for them. A new one is its file and its row here.

The package, the command line, ``pairwise``, the tests and the documentation read it. Imports no torch.
"""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kullback.divergences.record import Parameter, Record

if TYPE_CHECKING:  # so that type checkers see the functions that the package imports by name
    from kullback.divergences.bhattacharyya import bhattacharyya as bhattacharyya
    from kullback.divergences.chi_squared import chi_squared as chi_squared
    from kullback.divergences.fisher_rao import fisher_rao as fisher_rao
    from kullback.divergences.geometric_jensen_shannon import geometric_jensen_shannon as geometric_jensen_shannon
    from kullback.divergences.hellinger import hellinger as hellinger
    from kullback.divergences.jeffreys import jeffreys as jeffreys
    from kullback.divergences.kl import kl_divergence as kl_divergence
    from kullback.divergences.renyi import renyi as renyi
    from kullback.divergences.wasserstein2 import wasserstein2 as wasserstein2

_SQUARED = Parameter("squared", False, "", "The square of the distance instead.")  # noqa: FBT003

RECORDS: tuple[Record, ...] = (
    Record(
        name="kl_divergence",
        module="kl",
        title="Kullback–Leibler divergence",
        tex=r"\int p \log \frac pq",
        symmetric=False,
        metric=False,
        bounded=False,
        invariance="affine",
        reference="S. Kullback and R. A. Leibler, Annals of Mathematical Statistics 22, 1951",
    ),
    Record(
        name="jeffreys",
        module="jeffreys",
        title="Jeffreys divergence",
        tex=r"D(p \| q) + D(q \| p)",
        symmetric=True,
        metric=False,
        bounded=False,
        invariance="affine",
        reference="H. Jeffreys, Proceedings of the Royal Society A 186, 1946",
    ),
    Record(
        name="renyi",
        module="renyi",
        title="Rényi divergence of order α",
        tex=r"\frac{1}{\alpha - 1} \log \int p^\alpha q^{1-\alpha}",
        symmetric=False,
        metric=False,
        bounded=False,
        invariance="affine",
        reference="A. Rényi, Proceedings of the Fourth Berkeley Symposium, 1961",
        parameters=(Parameter("alpha", None, "from 0 up", "The order."),),
    ),
    Record(
        name="bhattacharyya",
        module="bhattacharyya",
        title="Bhattacharyya distance",
        tex=r"-\log \int \sqrt{p q}",
        symmetric=True,
        metric=False,
        bounded=False,
        invariance="affine",
        reference="A. Bhattacharyya, Bulletin of the Calcutta Mathematical Society 35, 1943",
    ),
    Record(
        name="hellinger",
        module="hellinger",
        title="Hellinger distance",
        tex=r"\sqrt{1 - \int \sqrt{p q}}",
        symmetric=True,
        metric=True,
        bounded=True,
        invariance="affine",
        reference="E. Hellinger, Journal für die reine und angewandte Mathematik 136, 1909",
        additive=False,
        apart=1.0,
        parameters=(_SQUARED,),
    ),
    Record(
        name="chi_squared",
        module="chi_squared",
        title="χ² divergence (Pearson)",
        tex=r"\int \frac{(p - q)^2}{q}",
        symmetric=False,
        metric=False,
        bounded=False,
        invariance="affine",
        reference="K. Pearson, Philosophical Magazine 50, 1900",
        additive=False,
    ),
    Record(
        name="wasserstein2",
        module="wasserstein2",
        title="2-Wasserstein distance",
        tex=r"\sqrt{\min_{x \sim p,\, y \sim q} \mathbb E \|x - y\|^2}",
        symmetric=True,
        metric=True,
        bounded=False,
        invariance="isometry",
        reference="D. C. Dowson and B. V. Landau, Journal of Multivariate Analysis 12, 1982",
        additive=False,
        apart=None,
        parameters=(_SQUARED,),
    ),
    Record(
        name="fisher_rao",
        module="fisher_rao",
        title="Fisher–Rao distance",
        tex=r"\inf_\gamma \int \sqrt{\dot\gamma^\top I(\gamma) \dot\gamma}",
        symmetric=True,
        metric=True,
        bounded=False,
        invariance="affine",
        reference="C. Atkinson and A. F. S. Mitchell, Sankhyā A 43, 1981",
        additive=False,
        diagonal_only=True,
        apart=None,
        parameters=(_SQUARED,),
    ),
    Record(
        name="geometric_jensen_shannon",
        module="geometric_jensen_shannon",
        title="geometric Jensen–Shannon divergence",
        tex=r"(1-w) D(p \| g) + w D(q \| g), \; g \propto p^{1-w} q^w",
        symmetric=True,
        metric=False,
        bounded=False,
        invariance="affine",
        reference="F. Nielsen, Entropy 21, 2019",
        monotone=False,
        parameters=(Parameter("weight", 0.5, "between 0 and 1", "The weight of q."),),
    ),
)


def record_of(name: str) -> Record:
    """The record of the public function, or of the file, of this name.

    Raises:
        ValueError: if there is none.
    """
    for record in RECORDS:
        if name in (record.name, record.module):
            return record
    raise ValueError(f"divergence is one of {', '.join(record.module for record in RECORDS)}, got {name!r}.")


INVARIANT = frozenset(record.name for record in RECORDS if record.invariance == "affine")
"""What a change of variables on both sides does not change: divergences of densities, and of the parameters alone."""


# The public functions whose files have been imported, by name.
_FUNCTIONS: dict[str, Callable[..., Any]] = {}


def enter(function: Callable[..., Any]) -> None:
    """Note the public function of a record.

    Raises:
        ValueError: if no record has its name.
    """
    _FUNCTIONS[record_of(function.__name__).name] = function


def function_of(record: Record) -> Callable[..., Any]:
    """The public function of a record; imports its file where that is still to be done."""
    if record.name not in _FUNCTIONS:
        importlib.import_module(f"kullback.divergences.{record.module}")
    return _FUNCTIONS[record.name]
