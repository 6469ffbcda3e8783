"""One fetch, wherever it is read."""
