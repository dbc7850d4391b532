"""What people already hold, made into tensors and Gaussians at the boundary, and results made back again."""
