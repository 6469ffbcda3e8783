"""Benchmarks against peers: ``python -m tests.benchmarks``; each in its own file."""
