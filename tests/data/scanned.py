"""The same rows in everything that a scan takes, on disk.

Each function writes rows, over those that are there, and returns what scans them.
"""

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import sklearnish as sn
from tests.data.pictures import encoded

N = 8
Y = np.arange(N) % 2
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 3, 4, 3)).astype(np.uint8)


def _values(pixels):
    """Two features of each picture."""
    return pixels.reshape(N, -1)[:, :2].astype(np.float32)


def _table(pixels):
    """Columns, as Arrow has them."""
    return pa.table({"a": _values(pixels)[:, 0], "b": _values(pixels)[:, 1], "y": Y})


def parquet(folder, pixels):
    pq.write_table(_table(pixels), folder / "a.parquet", row_group_size=3)
    return lambda: sn.scan_parquet(folder / "a.parquet", target="y")


def csv(folder, pixels):
    _table(pixels).to_pandas().to_csv(folder / "a.csv", index=False)
    return lambda: sn.scan_csv(folder / "a.csv", target="y")


def npy(folder, pixels):
    np.save(folder / "a.npy", _values(pixels))
    return lambda: sn.scan_npy(folder / "a.npy", target=Y)


def images(folder, pixels):
    for number, picture in enumerate(pixels):
        (folder / "images" / str(Y[number])).mkdir(parents=True, exist_ok=True)
        (folder / "images" / str(Y[number]) / f"{number}.png").write_bytes(encoded(picture, "PNG"))
    return lambda: sn.scan_images(folder / "images")


def shards(folder, pixels):
    from tests.data.shards import write

    samples = zip(pixels, Y.tolist(), strict=True)
    write(
        folder / "a-%d.tar",
        (
            {"__key__": f"{i}", "png": encoded(p, "PNG"), "cls": y}
            for i, (p, y) in enumerate(samples)
        ),
    )
    return lambda: sn.scan_shards(folder / "a-*.tar", "png", target="cls")


def hdf5(folder, pixels):
    import h5py

    with h5py.File(folder / "a.h5", "w") as file:
        file["X"], file["y"] = _values(pixels), Y
    return lambda: sn.scan_hdf5(folder / "a.h5", "X", target="y")


def _zarr(folder, pixels, form):
    """Write chunks of two axes, or replace those that are there."""
    import zarr

    if not folder.exists():
        group = zarr.open_group(folder, mode="w", zarr_format=form)
        group.create_array("X", shape=(N, 2), dtype="f4", chunks=(3, 1))
        group.create_array("y", data=Y)
    zarr.open_group(folder, mode="r+")["X"][:] = _values(pixels)


def zarr2(folder, pixels):
    _zarr(folder / "a.zarr", pixels, 2)
    return lambda: sn.scan_zarr(folder / "a.zarr", "X", target="y")


def zarr3(folder, pixels):
    _zarr(folder / "a.zarr", pixels, 3)
    return lambda: sn.scan_zarr(folder / "a.zarr", "X", target="y")


def zarr_zip(folder, pixels):
    _zarr(folder / "a.zarr", pixels, 3)
    path = shutil.make_archive(folder / "a", "zip", folder / "a.zarr")
    return lambda: sn.scan_zarr(path, "X", target="y")


def delta(folder, pixels):
    from deltalake import write_deltalake

    write_deltalake(folder / "a", _table(pixels), mode="overwrite")
    return lambda: sn.scan_delta(folder / "a", target="y")


def iceberg(folder, pixels):
    from pyiceberg.catalog.sql import SqlCatalog

    (folder / "a").mkdir(exist_ok=True)
    catalog = SqlCatalog("c", uri=f"sqlite:///{folder}/c.db", warehouse=str(folder / "a"))
    catalog.create_namespace_if_not_exists("n")
    table = catalog.create_table_if_not_exists("n.t", _table(pixels).schema)
    table.overwrite(_table(pixels)) if table.snapshots() else table.append(_table(pixels))
    catalog.close()
    return lambda: sn.scan_iceberg(table, target="y")


def hugging_face(folder, pixels):
    import datasets

    datasets.disable_progress_bars()
    datasets.Dataset(_table(pixels)).to_parquet(folder / "a.parquet")
    read = datasets.Dataset.from_parquet
    rows = read(str(folder / "a.parquet"), cache_dir=folder / "hf")
    return lambda: sn.as_dataset(rows.remove_columns("y"), Y)


def sql(folder, pixels):
    def scan():
        with closing(sqlite3.connect(folder / "a.db")) as connection:
            return sn.scan_sql("select * from t", connection, target="y")

    with closing(sqlite3.connect(folder / "a.db")) as connection:
        _table(pixels).to_pandas().to_sql("t", connection, if_exists="replace", index=False)
    return scan


def arrow(folder, pixels):
    return lambda: sn.scan_arrow(_table(pixels).to_reader(3), target="y")


SCANS = [
    *(parquet, csv, npy, images, shards, hdf5, zarr2, zarr3, zarr_zip, delta, iceberg),
    *(hugging_face, sql, arrow),
]
