"""The bodies of the Triton kernels: what a GPU runs."""
