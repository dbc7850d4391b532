"""One file for each divergence: derivation, formula and reference. These plain formulas are the library."""
