"""scikit-learn estimators that train PyTorch models on data larger than memory."""

from importlib.metadata import version

from sklearnish import inspection, plotting, preprocessing
from sklearnish._show_versions import show_versions
from sklearnish.clusters import cluster
from sklearnish.data import (
    Dataset,
    DatasetChangedError,
    DataWorkerError,
    as_dataset,
    per_batch,
    scan_arrow,
    scan_csv,
    scan_delta,
    scan_hdf5,
    scan_iceberg,
    scan_images,
    scan_npy,
    scan_parquet,
    scan_shards,
    scan_sql,
    scan_zarr,
)
from sklearnish.estimators import (
    ImageClassifier,
    Incremental,
    MLPClassifier,
    MLPRegressor,
    TabularClassifier,
    TabularRegressor,
    TorchClassifier,
    TorchRegressor,
    TorchTransformer,
    predict_to,
)
from sklearnish.persistence import export, load, save

__version__ = version("sklearnish")

__all__ = [
    "DataWorkerError",
    "Dataset",
    "DatasetChangedError",
    "ImageClassifier",
    "Incremental",
    "MLPClassifier",
    "MLPRegressor",
    "TabularClassifier",
    "TabularRegressor",
    "TorchClassifier",
    "TorchRegressor",
    "TorchTransformer",
    "as_dataset",
    "cluster",
    "export",
    "inspection",
    "load",
    "per_batch",
    "plotting",
    "predict_to",
    "preprocessing",
    "save",
    "scan_arrow",
    "scan_csv",
    "scan_delta",
    "scan_hdf5",
    "scan_iceberg",
    "scan_images",
    "scan_npy",
    "scan_parquet",
    "scan_shards",
    "scan_sql",
    "scan_zarr",
    "show_versions",
]
