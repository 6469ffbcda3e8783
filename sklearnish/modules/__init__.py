"""Modules that we ship; they know torch alone."""

from sklearnish.modules.mlp import MLP

__all__ = ["MLP"]
