"""Pairs of Gaussians in every parameterization and regime, as the numbers that are given to the library."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kullback import Gaussian
from truth import exact
from truth.kinds import DIAGONAL, KINDS

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Given:
    """One Gaussian: its mean, how its scale is given, and what is given."""

    kind: str
    mean: Array
    parts: tuple[Array, ...]

    def gaussian(self, tensors=None) -> Gaussian:
        mean, *parts = tensors if tensors is not None else (self.mean, *self.parts)
        return getattr(Gaussian, f"from_{self.kind}")(mean, *parts)

    def astype(self, dtype: str) -> "Given":
        mean, *parts = (x.astype(dtype) for x in (self.mean, *self.parts))
        return Given(self.kind, mean, tuple(parts))

    def rounded_otherwise(self, rng: np.random.Generator) -> "Given":
        """The same with every number moved by half a unit in the last place, up or down."""
        return Given(self.kind, _moved(self.mean, rng), tuple(_moved(x, rng) for x in self.parts))


def _moved(x: Array, rng: np.random.Generator) -> Array:
    # In longer arithmetic, where half a unit can be added.
    signs = rng.choice([-1.0, 1.0], x.shape)
    if x.ndim == 2 and x.shape[0] == x.shape[1] and np.array_equal(x, x.T):
        signs = np.triu(signs) + np.triu(signs, 1).T
    return x.astype(np.longdouble) * (1 + signs.astype(np.longdouble) * np.finfo(x.dtype).eps / 2)


@dataclass(frozen=True, eq=False)
class Case:
    """A pair and what it is meant to show."""

    regime: str
    p: Given
    q: Given
    dtype: str

    @property
    def name(self) -> str:
        return f"{self.dtype} {self.p.kind}-{self.q.kind} d={len(self.p.mean)} {self.regime}"

    def exact(self) -> exact.Pair:
        return exact_pair(self.p, self.q)


def exact_pair(p: Given, q: Given) -> exact.Pair:
    mean_p, mean_q = exact.column(p.mean), exact.column(q.mean)
    return exact.Pair(mean_p, exact.COVARIANCE[p.kind](*p.parts), mean_q, exact.COVARIANCE[q.kind](*q.parts))


def orthogonal(rng: np.random.Generator, d: int) -> Array:
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    return q * np.sign(np.diag(r))


def factor(rng: np.random.Generator, d: int, condition: float) -> Array:
    """A factor of a covariance with this condition number, in general position."""
    spread = np.geomspace(1.0, condition**-0.5, d) if d > 1 else np.ones(1)
    return np.linalg.qr((orthogonal(rng, d) * spread).T)[1].T * 1.0


def scale_of(kind: str, rng: np.random.Generator, d: int, condition: float = 10.0, size: float = 1.0) -> tuple:
    """What is given for a scale of this kind."""
    if kind in DIAGONAL:
        log_std = 0.25 * np.log(condition) * rng.uniform(-1, 1, d) + np.log(size)
        return ({"std": np.exp(log_std), "variance": np.exp(2 * log_std), "logvar": 2 * log_std}[kind],)
    if kind == "low_rank":
        r = max(1, d // 4)
        return (size * rng.standard_normal((d, r)), size**2 * np.exp(rng.uniform(-1, 1, d)))
    lower = factor(rng, d, condition) * size
    lower = lower * np.sign(np.diag(lower))
    if kind == "scale_tril":
        return (np.tril(lower),)
    covariance = lower @ lower.T
    if kind == "precision":
        inverse = np.linalg.inv(np.tril(lower))
        covariance = inverse.T @ inverse
    return (0.5 * (covariance + covariance.T),)


def nearby(given: Given, rng: np.random.Generator, step: float) -> Given:
    """A Gaussian of the same kind at this relative distance."""

    def moved(x: Array) -> Array:
        noise = rng.uniform(0.5, 1.0, x.shape) * rng.choice([-1.0, 1.0], x.shape)
        return x * (1 + step * noise)

    if given.kind in ("covariance", "precision"):
        lower = np.linalg.cholesky(given.parts[0])
        noise = rng.standard_normal(lower.shape) / len(lower)
        change = lower @ (noise + noise.T) @ lower.T * step
        parts: tuple = (given.parts[0] + 0.5 * (change + change.T),)
    elif given.kind == "scale_tril":
        change = given.parts[0] @ np.tril(rng.standard_normal(given.parts[0].shape)) / len(given.parts[0]) * step
        parts = (given.parts[0] + change,)
    elif given.kind == "logvar":
        parts = (given.parts[0] + step * rng.standard_normal(given.parts[0].shape),)
    else:
        parts = tuple(moved(x) for x in given.parts)
    return Given(given.kind, given.mean + step * rng.standard_normal(given.mean.shape) * _std(given), parts)


def _std(given: Given) -> float:
    """The smallest standard deviation, roughly: a step of the mean in units that matter."""
    if given.kind in DIAGONAL:
        return float(
            {"std": np.asarray, "variance": np.sqrt, "logvar": lambda x: np.exp(x / 2)}[given.kind](
                given.parts[0]
            ).min()
        )
    if given.kind == "low_rank":
        return float(np.sqrt(given.parts[1].min()))
    if given.kind == "scale_tril":
        return float(np.linalg.svd(given.parts[0])[1].min())
    w = np.linalg.eigvalsh(given.parts[0])
    return float(np.sqrt(w.min())) if given.kind == "covariance" else float(w.max() ** -0.5)


def as_kind(given: Given, kind: str) -> Given:
    """Nearly the same Gaussian, given otherwise; a full covariance does not become diagonal."""
    cov = {
        "std": lambda s: np.diag(s**2), "variance": np.diag, "logvar": lambda s: np.diag(np.exp(s)),
        "covariance": lambda s: s, "scale_tril": lambda s: s @ s.T, "precision": np.linalg.inv,
        "low_rank": lambda w, v: np.diag(v) + w @ w.T,
    }[given.kind](*given.parts)  # fmt: skip
    cov = 0.5 * (cov + cov.T)
    d = len(cov)
    diag = np.diag(cov)
    lower = np.linalg.cholesky(cov)
    inverse = np.linalg.inv(lower)
    parts = {
        "std": lambda: (np.sqrt(diag),), "variance": lambda: (diag,), "logvar": lambda: (np.log(diag),),
        "covariance": lambda: (cov,), "scale_tril": lambda: (lower,), "precision": lambda: (inverse.T @ inverse,),
        "low_rank": lambda: (lower[:, :1] * 0.9, diag * 0.5 + np.arange(d) * 0.0),
    }[kind]()  # fmt: skip
    if kind == "precision":
        parts = (0.5 * (parts[0] + parts[0].T),)
    return Given(kind, given.mean, parts)


def cases(dtype: str, seed: int = 0) -> Iterator[Case]:
    """The grid: all pairs of kinds, and every regime where it belongs."""
    rng = np.random.default_rng(seed)
    steps = (2.0**-2, 2.0**-8, 2.0**-20, 2.0**-35, 2.0**-50) if dtype == "float64" else (2.0**-2, 2.0**-8, 2.0**-20)
    conditions = (1e4, 1e8, 1e12) if dtype == "float64" else (1e3, 1e5)
    sizes = (1e-150, 1e150) if dtype == "float64" else (1e-15, 1e15)

    def given(kind: str, d: int, **how: float) -> Given:
        return Given(kind, rng.standard_normal(d) * how.get("size", 1.0), scale_of(kind, rng, d, **how))

    def case(regime: str, p: Given, q: Given) -> Case:
        return Case(regime, p.astype(dtype), q.astype(dtype), dtype)

    for kind_p in KINDS:
        for kind_q in KINDS:
            yield case("ordinary", given(kind_p, 5), given(kind_q, 5))
            if kind_p != kind_q:
                base = given(kind_p, 4).astype(dtype).astype("float64")
                other = as_kind(base, kind_q)
                yield case("the same, given otherwise", base, nearby(other, rng, 2.0**-10))
    for kind in KINDS:
        for d in (1, 2, 20):
            yield case("ordinary", given(kind, d), given(kind, d))
        for step in steps:
            for d in (1, 6):
                base = given(kind, d).astype(dtype).astype("float64")
                yield case(f"near, 2^{round(np.log2(step))}", nearby(base, rng, step), base)
        for condition in conditions:
            how = {"condition": condition}
            if kind != "low_rank":
                yield case(f"condition {condition:.0e}", given(kind, 8, **how), given(kind, 8, **how))
                yield case(f"condition {condition:.0e} against well", given(kind, 8, **how), given(kind, 8))
                for step in (2.0**-4, 2.0**-30 if dtype == "float64" else 2.0**-12):
                    base = given(kind, 8, **how).astype(dtype).astype("float64")
                    yield case(
                        f"condition {condition:.0e}, near 2^{round(np.log2(step))}", nearby(base, rng, step), base
                    )
        for size in sizes:
            yield case(f"scale {size:.0e}", given(kind, 4, size=size), given(kind, 4, size=size))
            base = given(kind, 4, size=size).astype(dtype).astype("float64")
            yield case(f"scale {size:.0e}, near 2^-10", nearby(base, rng, 2.0**-10), base)
    yield case("ordinary", given("covariance", 200), given("covariance", 200))
    yield case("ordinary", given("scale_tril", 200), given("scale_tril", 200))
    for d, r in ((8, 2), (100, 3)):
        w, v = rng.standard_normal((d, r)), np.exp(rng.uniform(-1, 1, d))
        mean = rng.standard_normal(d)
        base = Given("low_rank", mean, (w, v)).astype(dtype).astype("float64")
        for step in steps:
            yield case(f"near, 2^{round(np.log2(step))}, rank {r}", nearby(base, rng, step), base)
        large = Given("low_rank", mean, (1e3 * w, 1e-3 * v)).astype(dtype).astype("float64")
        yield case(f"factor 1e3, variance 1e-3, rank {r}", large, base)
        yield case(f"factor 1e3, variance 1e-3, rank {r}", base, large)
        yield case(f"factor 1e3, variance 1e-3, near, rank {r}", nearby(large, rng, 2.0**-10), large)
        turned = Given("low_rank", mean, (w @ orthogonal(rng, r), v * (1 + 2.0**-10 * rng.standard_normal(d))))
        yield case(f"turned factor, near, rank {r}", turned, base)
        other = Given("low_rank", rng.standard_normal(d), (rng.standard_normal((d, 1)), np.exp(rng.uniform(-1, 1, d))))
        yield case(f"ordinary, ranks 1 and {r}", other, base)
        yield case(f"ordinary, ranks {r} and 1", base, other)
        yield case(f"low rank against diagonal, rank {r}", base, Given("variance", mean, (v * 1.5,)))
        yield case(f"diagonal against low rank, rank {r}", Given("logvar", mean, (np.log(v),)), base)
