"""Functions of rows and batches: their results and their randomness."""
