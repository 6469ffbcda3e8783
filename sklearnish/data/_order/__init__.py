"""Which rows, and when."""
