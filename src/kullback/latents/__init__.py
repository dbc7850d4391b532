"""What people with two VAEs came for."""
