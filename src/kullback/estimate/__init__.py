"""Estimates with their errors, where no exact form exists."""
