"""What transformers learn from rows that come in chunks."""
