import json

import fsspec
import pandas as pd
import pytest

from sklearnish.data import scan_parquet

FRAME = pd.DataFrame({"a": [1.0, 2.0], "year": [3, 4]})


def write(folder, *log):
    """Write files of a table, and the beginning of a log."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("0.parquet", "1.parquet"):
        FRAME.to_parquet(folder / name)
    if log:
        log = folder.joinpath(*log)
        log.parent.mkdir(parents=True)
        log.write_text(json.dumps({}))


@pytest.mark.parametrize("pattern", [".", "*.parquet", "**/*.parquet"])
@pytest.mark.parametrize("below", [".", "year=2020", "year=2020/month=1"])
def test_the_folder_of_a_delta_table_is_refused(tmp_path, pattern, below):
    write(tmp_path / "sales", "_delta_log", "0.json")
    write(tmp_path / "sales" / below)
    with pytest.raises(
        ValueError, match=r"a Delta table, .* Read it with sn.scan_delta\('.*sales'"
    ):
        scan_parquet(tmp_path / "sales" / below / pattern)


@pytest.mark.parametrize("below", [".", "data", "data/year=2020"])
def test_the_folder_of_an_iceberg_table_is_refused(tmp_path, below):
    write(tmp_path / "data", "metadata", "v1.metadata.json")
    write(tmp_path / "data" / below)
    with pytest.raises(ValueError, match=r"is an Iceberg table, .* sn.scan_iceberg\(table"):
        scan_parquet(tmp_path / "data" / below)


@pytest.mark.parametrize("log", ["_delta_log/0.json", "metadata/v1.metadata.json"])
def test_tables_in_stores_are_refused_too(tmp_path, log):
    write(tmp_path / "sales", log)
    write(tmp_path / "sales" / "year=2020")
    inside = fsspec.filesystem("dir", path=tmp_path, fs=fsspec.filesystem("file"))
    for place in ("sales/year=2020", "sales/*/*.parquet", "sales/", "sales"):
        with pytest.raises(ValueError, match=r"sales is a(n Iceberg| Delta) table"):
            scan_parquet(place, filesystem=inside)
    assert len(scan_parquet("sales/0.parquet", filesystem=inside)) == 2
    write(tmp_path)
    assert len(scan_parquet("*.parquet", filesystem=inside)) == 4


def test_files_that_are_named_are_read_as_they_are(tmp_path):
    write(tmp_path, "_delta_log", "0.json")
    assert len(scan_parquet([tmp_path / "0.parquet", tmp_path / "1.parquet"])) == 4
    assert len(scan_parquet(tmp_path / "0.parquet")) == 2


def test_other_folders_of_metadata_are_no_table(tmp_path):
    write(tmp_path / "data", "metadata", "about.json")
    assert len(scan_parquet(tmp_path / "data")) == 4
