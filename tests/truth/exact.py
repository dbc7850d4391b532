"""The truth for pairs of Gaussians of any kind: textbook formulas in ball arithmetic, which bounds its own error.

Shares no code with the library. At this precision cancellation does no harm, so determinants, inverses and matrix
square roots stand here as they stand in books.
"""

from collections.abc import Callable
from dataclasses import dataclass

import flint
import numpy as np
from flint import arb, arb_mat

flint.ctx.dps = 150

Array = np.ndarray


def number(x: float | arb) -> arb:
    """Exactly what is given, also where it is longer than a double."""
    if isinstance(x, np.longdouble):
        return arb(float(x)) + arb(float(x - np.longdouble(float(x))))
    return x if isinstance(x, arb) else arb(float(x))


def matrix(x: Array) -> arb_mat:
    return arb_mat([[number(v) for v in row] for row in x])


def diagonal(values: list[arb]) -> arb_mat:
    d = len(values)
    return arb_mat([[values[i] if i == j else arb(0) for j in range(d)] for i in range(d)])


def column(x: Array) -> arb_mat:
    return arb_mat([[number(v)] for v in x])


# Covariances of what was given, exactly.
COVARIANCE: dict[str, Callable[..., arb_mat]] = {
    "std": lambda s: diagonal([number(v) ** 2 for v in s]),
    "variance": lambda s: diagonal([number(v) for v in s]),
    "logvar": lambda s: diagonal([number(v).exp() for v in s]),
    "covariance": lambda s: matrix(s),
    "scale_tril": lambda s: matrix(s) * matrix(s).transpose(),
    "precision": lambda s: matrix(s).inv(),
    "low_rank": lambda w, v: diagonal([number(x) for x in v]) + matrix(w) * matrix(w).transpose(),
}


@dataclass
class Pair:
    """Two Gaussians: means as columns, covariances."""

    mean_p: arb_mat
    cov_p: arb_mat
    mean_q: arb_mat
    cov_q: arb_mat

    @property
    def d(self) -> int:
        return self.cov_p.nrows()

    @property
    def swapped(self) -> "Pair":
        return Pair(self.mean_q, self.cov_q, self.mean_p, self.cov_p)


def quadratic(delta: arb_mat, cov: arb_mat) -> arb:
    return (delta.transpose() * cov.solve(delta))[0, 0]


def kl(pair: Pair) -> arb:
    trace = pair.cov_q.solve(pair.cov_p).trace()
    square = quadratic(pair.mean_p - pair.mean_q, pair.cov_q)
    return (trace - pair.d - (pair.cov_p.det() / pair.cov_q.det()).log() + square) / 2


def renyi(pair: Pair, alpha: float) -> arb:
    a = number(alpha)
    between = a * pair.cov_q + (1 - a) * pair.cov_p
    if alpha > 1 and not positive_definite(between):
        return arb("inf")
    logs = between.det().log() - (1 - a) * pair.cov_p.det().log() - a * pair.cov_q.det().log()
    return a / 2 * quadratic(pair.mean_p - pair.mean_q, between) + logs / (2 * (1 - a))


def positive_definite(a: arb_mat) -> bool:
    """By elimination: all pivots are positive."""
    rows = [[a[i, j] for j in range(a.ncols())] for i in range(a.nrows())]
    for k, pivot in enumerate(rows):
        if not pivot[k] > 0:
            return False
        for row in rows[k + 1 :]:
            factor = row[k] / pivot[k]
            for j in range(k + 1, len(row)):
                row[j] -= factor * pivot[j]
    return True


def bhattacharyya(pair: Pair) -> arb:
    return renyi(pair, 0.5) / 2


def hellinger_squared(pair: Pair) -> arb:
    return 1 - (-bhattacharyya(pair)).exp()


def chi_squared(pair: Pair) -> arb:
    return renyi(pair, 2.0).exp() - 1


def jeffreys(pair: Pair) -> arb:
    return kl(pair) + kl(pair.swapped)


def wasserstein2_squared(pair: Pair) -> arb:
    """The square root by Newton's iteration (Denman and Beavers), whose limit is checked."""
    delta = pair.mean_p - pair.mean_q
    product = pair.cov_p * pair.cov_q
    root = square_root(product)
    return (delta.transpose() * delta)[0, 0] + (pair.cov_p + pair.cov_q).trace() - 2 * root.trace()


def square_root(a: arb_mat) -> arb_mat:
    scale = a.trace() / a.nrows()
    y, z = a * (1 / scale), diagonal([arb(1)] * a.nrows())
    for _ in range(80):
        # Midpoints: the iteration corrects itself, and the radii would only grow.
        y, z = (y + z.inv()).mid() * arb(0.5), (z + y.inv()).mid() * arb(0.5)
        error = y * y - a * (1 / scale)
        if max(abs(error[i, j]).upper() for i in range(a.nrows()) for j in range(a.nrows())) < arb("1e-60"):
            return y * scale.sqrt()
    raise AssertionError("no square root found")


def geometric_jensen_shannon(pair: Pair) -> arb:
    """From its definition: the geometric mean has the mean of the precisions."""
    p, q = pair.cov_p.inv(), pair.cov_q.inv()
    cov = ((p + q) * arb(0.5)).inv()
    mean = cov * (p * pair.mean_p + q * pair.mean_q) * arb(0.5)
    to_p, to_q = (kl(Pair(m, c, mean, cov)) for m, c in ((pair.mean_p, pair.cov_p), (pair.mean_q, pair.cov_q)))
    return (to_p + to_q) / 2


def entropy(pair: Pair) -> arb:
    return (pair.d * (1 + (2 * arb.pi()).log()) + pair.cov_p.det().log()) / 2


def cross_entropy(pair: Pair) -> arb:
    return entropy(pair) + kl(pair)


def fisher_rao_squared(pair: Pair) -> arb:
    """Diagonal pairs."""
    total = arb(0)
    for i in range(pair.d):
        product = (pair.cov_p[i, i] * pair.cov_q[i, i]).sqrt()
        difference = pair.cov_p[i, i].sqrt() - pair.cov_q[i, i].sqrt()
        x = ((pair.mean_p[i, 0] - pair.mean_q[i, 0]) ** 2 / 2 + difference**2) / (2 * product)
        total += 2 * (1 + x).acosh() ** 2
    return total
