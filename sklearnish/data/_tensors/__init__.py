"""Columns to tensors, and tensors to the device."""
