"""scikit-learn estimators that train PyTorch models on data larger than memory."""

from importlib.metadata import version

from sklearnish import plotting
from sklearnish._show_versions import show_versions
from sklearnish.data import (
    Dataset,
    DatasetChangedError,
    as_dataset,
    per_batch,
    scan_csv,
    scan_images,
    scan_npy,
    scan_parquet,
)
from sklearnish.estimators import TorchClassifier, TorchRegressor

__version__ = version("sklearnish")

__all__ = [
    "Dataset",
    "DatasetChangedError",
    "TorchClassifier",
    "TorchRegressor",
    "as_dataset",
    "per_batch",
    "plotting",
    "scan_csv",
    "scan_images",
    "scan_npy",
    "scan_parquet",
    "show_versions",
]
