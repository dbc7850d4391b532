"""What maps of models are fitted to, accumulated over rows: mergeable, and constant in size."""

from dataclasses import dataclass

from torch import Tensor

from kullback.alignment.moments import Moments
from kullback.alignment.objectives import rows_of_moments
from kullback.alignment.rows import Rows
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.moments import ValueMoments
from kullback.numerics.sampling import bits_of, in_level, level_for

# Other bits of a row's number than those by which samples are drawn.
_HALF, _FITTED = 1, 2


def is_fitted(numbers: Tensor) -> Tensor:
    """Which rows maps are fitted to: one of each two neighbours. Results are reported on the others."""
    return (numbers & 1) == (bits_of(numbers >> 1, _HALF) & 1)


@dataclass(frozen=True)
class Plan:
    """How rows are used, which is known before they are read."""

    expected: int
    """About how many rows there are."""
    origins: tuple[Tensor, Tensor]
    """Points near the means of p and of q."""


@dataclass(frozen=True, eq=False)
class Fitting:
    """The moments of the rows that maps are fitted to, and the divergences of both halves as they stand."""

    moments: Moments | None
    """None where a map is fitted to rows instead: see :func:`rows_of_moments`."""
    fitted: ValueMoments
    """KL(p‖q) of the rows that maps are fitted to."""
    dominant: tuple[float, int]
    """The largest of them, and the number of its row."""
    unaligned: ValueMoments
    """KL(p‖q) of the other rows."""
    unaligned_reverse: ValueMoments
    """KL(q‖p) of the other rows."""

    @classmethod
    def of(cls, p: Gaussian, q: Gaussian, values: Tensor, reverse: Tensor, numbers: Tensor, plan: Plan) -> "Fitting":
        """That of a batch of rows, whose divergences in both directions are given."""
        half = is_fitted(numbers)
        chosen = half
        capacity = rows_of_moments(q)
        if capacity:
            chosen = half & in_level(bits_of(numbers, _FITTED), level_for(plan.expected // 2, capacity))
        of_chosen = values[chosen]
        dominant = (float("-inf"), -1)
        if len(of_chosen):
            place = int(of_chosen.argmax())
            dominant = float(of_chosen[place]), int(numbers[chosen][place])
        moments = None
        if capacity:
            index = chosen.nonzero().flatten()
            moments = Moments.of(Rows(p, index).converted(), Rows(q, index).converted(), plan.origins)
        return cls(
            moments, ValueMoments.of(of_chosen), dominant, ValueMoments.of(values[~half]),
            ValueMoments.of(reverse[~half]),
        )  # fmt: skip

    def merge(self, other: "Fitting") -> "Fitting":
        """That of the rows of both."""
        moments = None
        if self.moments is not None and other.moments is not None:
            moments = self.moments.merge(other.moments)
        return Fitting(
            moments,
            self.fitted.merge(other.fitted),
            max(self.dominant, other.dominant, key=lambda entry: (entry[0], -entry[1])),
            self.unaligned.merge(other.unaligned),
            self.unaligned_reverse.merge(other.unaligned_reverse),
        )
