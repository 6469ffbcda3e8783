"""From rows to predictions, in memory or in a file."""
