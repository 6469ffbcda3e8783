"""Rows in, batches out: what other packages may use. Users import from `sklearnish` itself."""

from sklearnish.data._arrow.columns import as_stored
from sklearnish.data._arrow.frames import is_missing
from sklearnish.data._as_dataset import as_dataset, is_no_array, whole_frame
from sklearnish.data._bad_rows import find_bad_rows, name_rows
from sklearnish.data._dataset import Dataset
from sklearnish.data._errors import BadRowsError, DatasetChangedError, DataWorkerError, Failure
from sklearnish.data._files.atomic import atomic_path, remove_leftovers, reserve
from sklearnish.data._files.maps import described
from sklearnish.data._fingerprint import as_bytes, fingerprint, fingerprint_of_rows
from sklearnish.data._functions.functions import PerBatch, per_batch
from sklearnish.data._functions.randomness import (
    device_generator,
    let_others_draw,
    restored_generators,
    seed_generators,
)
from sklearnish.data._html import as_html
from sklearnish.data._loading.loader import Loader
from sklearnish.data._loading.prepare import parse_bytes, prepare_loader
from sklearnish.data._loading.report import EpochTimes, PipelineReport
from sklearnish.data._order.samplers import nearest_to_block, storage_order
from sklearnish.data._order.shares import WHOLE, Share
from sklearnish.data._pairs import check_rows_alone
from sklearnish.data._reading.finite import read_finite
from sklearnish.data._reading.frames import read_frames
from sklearnish.data._reading.messages import Parcel, parcel, unpacked, without_numbers
from sklearnish.data._reading.reader import EvaluationReader
from sklearnish.data._scan.arrays import scan_hdf5, scan_zarr
from sklearnish.data._scan.files import scan_csv, scan_npy, scan_parquet
from sklearnish.data._scan.given import check_no_path
from sklearnish.data._scan.images import scan_images
from sklearnish.data._scan.lakes import scan_delta, scan_iceberg
from sklearnish.data._scan.shards import scan_shards
from sklearnish.data._scan.streams import scan_arrow, scan_sql
from sklearnish.data._shown import shown
from sklearnish.data._source import IntArray, Source
from sklearnish.data._sources.arrays import detached, mixed_as_objects
from sklearnish.data._system.bar import with_own_lock
from sklearnish.data._system.devices import (
    current_device,
    device_for_fit,
    is_available,
    resolve_device,
)
from sklearnish.data._system.locks import one_maker
from sklearnish.data._system.machine import n_cores
from sklearnish.data._system.places import Place
from sklearnish.data._system.warn import warn
from sklearnish.data._tensors.batch import (
    Batch,
    Features,
    concat,
    each,
    narrow,
    tensors_of,
    to_device,
)
from sklearnish.data._views.attached import with_codes
from sklearnish.data._views.columns import check_no_name, check_numeric
from sklearnish.data._views.gather import pieces
from sklearnish.data._views.labels import find_classes
from sklearnish.data._views.rounding import (
    IN_FLOAT64,
    is_coarse,
    name_columns,
    rounded_columns,
    warn_of_rounding,
)
from sklearnish.data._views.sample import at_random, hashed_sample, row_hashes, spread
from sklearnish.data._views.series import last_windows
from sklearnish.data._whole import is_whole

__all__ = [
    "IN_FLOAT64",
    "WHOLE",
    "BadRowsError",
    "Batch",
    "DataWorkerError",
    "Dataset",
    "DatasetChangedError",
    "EpochTimes",
    "EvaluationReader",
    "Failure",
    "Features",
    "IntArray",
    "Loader",
    "Parcel",
    "PerBatch",
    "PipelineReport",
    "Place",
    "Share",
    "Source",
    "as_bytes",
    "as_dataset",
    "as_html",
    "as_stored",
    "at_random",
    "atomic_path",
    "check_no_name",
    "check_no_path",
    "check_numeric",
    "check_rows_alone",
    "concat",
    "current_device",
    "described",
    "detached",
    "device_for_fit",
    "device_generator",
    "each",
    "find_bad_rows",
    "find_classes",
    "fingerprint",
    "fingerprint_of_rows",
    "hashed_sample",
    "is_available",
    "is_coarse",
    "is_missing",
    "is_no_array",
    "is_whole",
    "last_windows",
    "let_others_draw",
    "mixed_as_objects",
    "n_cores",
    "name_columns",
    "name_rows",
    "narrow",
    "nearest_to_block",
    "one_maker",
    "parcel",
    "parse_bytes",
    "per_batch",
    "pieces",
    "prepare_loader",
    "read_finite",
    "read_frames",
    "remove_leftovers",
    "reserve",
    "resolve_device",
    "restored_generators",
    "rounded_columns",
    "row_hashes",
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
    "seed_generators",
    "shown",
    "spread",
    "storage_order",
    "tensors_of",
    "to_device",
    "unpacked",
    "warn",
    "warn_of_rounding",
    "whole_frame",
    "with_codes",
    "with_own_lock",
    "without_numbers",
]
