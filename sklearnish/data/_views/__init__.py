"""Some rows of a source, and what its columns mean."""
