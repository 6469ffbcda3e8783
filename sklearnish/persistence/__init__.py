"""Saving and loading fitted estimators without pickle; files that other programs run."""

from sklearnish.persistence._exporting.export import export
from sklearnish.persistence._saving import load, save

__all__ = ["export", "load", "save"]
