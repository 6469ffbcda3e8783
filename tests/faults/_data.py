"""Small files of every format, all of whose values are one number."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from PIL import Image

import sklearnish as sn

ROWS = 96


def labels() -> np.ndarray:
    return np.arange(ROWS) % 2


def table(value: int, rows: int = ROWS) -> pa.Table:
    y = np.arange(rows) % 2
    return pa.table({"a": np.full(rows, float(value)), "b": np.full(rows, float(value)), "y": y})


def parquet(path: Path, value: int, **options) -> None:
    pq.write_table(table(value), path, row_group_size=ROWS // 4, **options)


def csv(path: Path, value: int) -> None:
    pacsv.write_csv(table(value), path)


def npy(path: Path, value: int) -> None:
    np.save(path, np.full((ROWS, 3), value, np.float32))


def picture(value: int, form: str = "PNG", side: int = 8) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (value, value, value)).save(file, form)
    return file.getvalue()


def pictures(folder: Path, value: int, form: str = "PNG") -> None:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(ROWS // 2):
            (folder / name / f"{i:02}.{form.lower()}").write_bytes(picture(value, form))


def tar(path: Path, value: int) -> None:
    with tarfile.open(path, "w") as archive:
        for i in range(ROWS):
            data = picture(value)
            member = tarfile.TarInfo(f"{'cat' if i % 2 else 'dog'}/{i:02}.png")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def scan(where: str, folder: Path, value: int = 1) -> tuple[sn.Dataset, Path]:
    """Write files of a format; return the Dataset, and one of its files.

    Those of a glob and of folders can be added to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if where == "Parquet":
        parquet(folder / "a.parquet", value)
        parquet(folder / "b.parquet", value)
        return sn.scan_parquet(f"{folder}/*.parquet", target="y"), folder / "b.parquet"
    if where == "CSV":
        csv(folder / "a.csv", value)
        csv(folder / "b.csv", value)
        return sn.scan_csv(folder, target="y"), folder / "b.csv"
    if where == "copy of CSV":
        csv(folder / "a.csv", value)
        ds = sn.scan_csv(folder / "a.csv", target="y")
        return ds, Path(ds.source.path)
    if where == "npy":
        npy(folder / "a.npy", value)
        npy(folder / "b.npy", value)
        return sn.scan_npy(f"{folder}/*.npy", target=np.tile(labels(), 2)), folder / "b.npy"
    if where == "images in folders":
        pictures(folder, value)
        return sn.scan_images(folder), folder / "dog" / "07.png"
    if where == "images in a tar":
        tar(folder / "a.tar", value)
        return sn.scan_images(folder / "a.tar"), folder / "a.tar"
    if where == "ds.cache folder":
        X = np.full((ROWS, 3), value, np.float32)
        sn.as_dataset(X, labels()).cache(folder / "cache")
        return sn.as_dataset(X, labels()).cache(folder / "cache"), folder / "cache" / "X.npy"
    raise ValueError(where)
