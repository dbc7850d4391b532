"""Numbers as text."""

import math


def exact(x: float) -> str:
    """A number for a program: integers in full, others with ten significant digits."""
    return str(x) if isinstance(x, int) else f"{x:.10g}"


def four_digits(x: float) -> str:
    """A number with four significant digits."""
    return f"{x:.4g}"


def number(x: float) -> str:
    """A number for a person: four significant digits, or all digits before the point and thousands separators."""
    if not math.isfinite(x):
        return "n/a" if math.isnan(x) else "infinity"
    return f"{x:,.0f}" if 1e4 <= abs(x) < 1e9 else four_digits(x)


def plus_minus(statistics: dict[str, float]) -> str:
    """A mean and its standard error, with as many decimals as give the error two significant digits."""
    mean, error = statistics["mean"], statistics["standard_error"]
    # An error that is smaller than the rounding of the mean says nothing.
    if not (math.isfinite(mean) and math.isfinite(error) and error > 1e-12 * abs(mean)):
        return number(mean)
    if not 1e-3 < mean < 1e9 or error < 1e-6 * mean:
        return f"{four_digits(mean)} ± {error:.2g}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{mean:,.{decimals}f} ± {error:,.{decimals}f}"
