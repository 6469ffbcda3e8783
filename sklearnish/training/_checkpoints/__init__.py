"""What a fit can go on from, on disk."""
