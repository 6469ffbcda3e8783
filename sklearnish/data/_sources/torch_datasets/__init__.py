"""Datasets of torch."""
