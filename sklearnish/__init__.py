"""scikit-learn estimators that train PyTorch models on data larger than memory."""

from sklearnish.data import Dataset, as_dataset, per_batch, scan_parquet

__version__ = "0.1.0"

__all__ = ["Dataset", "as_dataset", "per_batch", "scan_parquet"]
