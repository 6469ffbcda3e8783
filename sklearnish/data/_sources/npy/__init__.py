"""Files of NumPy."""
