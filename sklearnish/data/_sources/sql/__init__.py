"""Rows that a database answers to a query."""
