"""One file for each divergence: derivation, formula, record and reference. These plain formulas are the library."""

# The modules with a record, in the order in which people look for them. A new divergence is its file and its name here.
NAMES = (
    "kl",
    "jeffreys",
    "renyi",
    "bhattacharyya",
    "hellinger",
    "chi_squared",
    "wasserstein2",
    "fisher_rao",
    "geometric_jensen_shannon",
)
