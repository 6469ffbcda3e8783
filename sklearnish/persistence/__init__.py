"""Saving and loading fitted estimators without pickle."""

from sklearnish.persistence._saving import load, save

__all__ = ["load", "save"]
