"""Tar shards of samples, as WebDataset writes them."""
