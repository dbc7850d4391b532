"""The scale of a Gaussian, kept as it was given: one file for each way of giving it."""
