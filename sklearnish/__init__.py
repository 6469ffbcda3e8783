"""scikit-learn estimators that train PyTorch models on data larger than memory."""

from importlib.metadata import version

from sklearnish import plotting
from sklearnish._show_versions import show_versions
from sklearnish.data import (
    Dataset,
    DatasetChangedError,
    DataWorkerError,
    as_dataset,
    per_batch,
    scan_csv,
    scan_images,
    scan_npy,
    scan_parquet,
)
from sklearnish.estimators import TorchClassifier, TorchRegressor
from sklearnish.persistence import load, save

__version__ = version("sklearnish")

__all__ = [
    "DataWorkerError",
    "Dataset",
    "DatasetChangedError",
    "TorchClassifier",
    "TorchRegressor",
    "as_dataset",
    "load",
    "per_batch",
    "plotting",
    "save",
    "scan_csv",
    "scan_images",
    "scan_npy",
    "scan_parquet",
    "show_versions",
]
