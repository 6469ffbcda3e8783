"""The batches of a whole fit."""
