"""One fit on the machines of a cluster."""

from sklearnish.clusters._cluster import cluster

__all__ = ["cluster"]
