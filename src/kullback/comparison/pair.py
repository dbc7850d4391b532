"""The ordered pairs of which a comparison contains divergences."""

import enum

MODELS = ("a", "b")
"""What a summary calls its models, the only one or both."""


class Pair(str, enum.Enum):
    """The ordered pairs (p, q) of which a comparison contains KL(p‖q). Each equals its string, as JSON keys do."""

    AB = "ab"
    BA = "ba"
    RATE_A = "rate_a"
    RATE_B = "rate_b"

    @classmethod
    def rate(cls, model: str) -> "Pair":
        """The pair of model ``"a"`` or ``"b"`` and the prior; its divergence is the rate of the model."""
        return cls(f"rate_{model}")

    @classmethod
    def _missing_(cls, value: object) -> "Pair":
        raise ValueError(f"expected one of {', '.join(repr(pair.value) for pair in cls)}, got {value!r}.")

    @property
    def key(self) -> str:
        """The prefix of the names of scalars: ``kl_ab``, ``kl_ba``, ``rate_a`` or ``rate_b``."""
        return self.value if self in (Pair.RATE_A, Pair.RATE_B) else f"kl_{self.value}"

    def label(self, a: str, b: str = "") -> str:
        """The divergence as a formula, for models called ``a`` and, if there are two, ``b``."""
        p, q = {Pair.AB: (a, b), Pair.BA: (b, a), Pair.RATE_A: (a, "prior"), Pair.RATE_B: (b, "prior")}[self]
        return f"KL({p}‖{q})"

    def __str__(self) -> str:
        return self.value
