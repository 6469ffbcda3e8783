"""What a fitted model relies on."""

from sklearnish.inspection._permutation import permutation_importance

__all__ = ["permutation_importance"]
