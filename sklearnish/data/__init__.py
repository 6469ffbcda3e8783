"""Rows in, batches out."""

from sklearnish.data._batch import Batch
from sklearnish.data._dataset import Dataset
from sklearnish.data._files import DatasetChangedError
from sklearnish.data._loader import Loader
from sklearnish.data._report import PipelineReport
from sklearnish.data._scan import as_dataset, scan_csv, scan_images, scan_npy, scan_parquet
from sklearnish.data._transforms import per_batch
from sklearnish.data._workers import DataWorkerError

__all__ = [
    "Batch",
    "DataWorkerError",
    "Dataset",
    "DatasetChangedError",
    "Loader",
    "PipelineReport",
    "as_dataset",
    "per_batch",
    "scan_csv",
    "scan_images",
    "scan_npy",
    "scan_parquet",
]
