import numpy as np
import pyarrow as pa
import pytest

from sklearnish import TorchClassifier
from sklearnish.data import scan_delta, scan_iceberg

deltalake = pytest.importorskip("deltalake")
sql = pytest.importorskip("pyiceberg.catalog.sql")

N = 60
TABLE = pa.table(
    {
        "a": np.arange(N, dtype=float),
        "b": np.arange(N) % 7,
        "v": pa.array(np.arange(2.0 * N).reshape(N, 2).tolist()),
        "t": [f"t{i % 3}" for i in range(N)],
        "w": np.linspace(1, 2, N),
        "y": np.arange(N) % 2,
    }
)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lakes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKLEARNISH_CACHE", str(folder / "cache"))
        deltalake.write_deltalake(folder / "delta", TABLE)
        catalog = sql.SqlCatalog("c", uri=f"sqlite:///{folder}/c.db", warehouse=str(folder / "w"))
        catalog.create_namespace("n")
        table = catalog.create_table("n.t", TABLE.schema)
        table.append(TABLE)
        yield {scan_delta: folder / "delta", scan_iceberg: table}
        catalog.close()


@pytest.mark.parametrize("scan", [scan_delta, scan_iceberg])
def test_columns_have_roles(tables, scan):
    ds = scan(tables[scan], target="y", weight="w")
    assert ds.columns == ("a", "b", "v", "t")
    np.testing.assert_array_equal(ds.target, TABLE["y"])
    np.testing.assert_array_equal(ds.weight, TABLE["w"])
    assert set(scan(tables[scan], target="y", columns=["a", "b"]).source.schema) == {"a", "b", "y"}


@pytest.mark.parametrize("scan", [scan_delta, scan_iceberg])
def test_a_model_is_fitted(tables, scan):
    ds = scan(tables[scan], target="y", columns=["a", "b", "v"])
    model = TorchClassifier(max_epochs=2, random_state=0, num_threads=1).fit(ds[10:])
    assert model.n_features_in_ == 3
    expected = model.predict_proba(TABLE.select(["a", "b", "v"]))
    np.testing.assert_array_equal(model.predict_proba(ds), expected)


@pytest.mark.parametrize("scan", [scan_delta, scan_iceberg])
@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"target": "q"}, ValueError, "no column 'q'"),
        ({"target": "q", "columns": ["a"]}, ValueError, "no column 'q'. Its columns are 'a', 'b'"),
        ({"columns": []}, ValueError, "has no feature columns"),
        ({"target": [1]}, TypeError, "target takes the name of a column"),
        ({"weight": ["w"]}, TypeError, "weight takes the name of a column"),
        ({"target": "y", "weight": "t"}, ValueError, "Weights must be numbers"),
    ],
)
def test_what_is_no_column_is_explained(tables, scan, keywords, error, message):
    with pytest.raises(error, match=message):
        scan(tables[scan], **keywords)


def test_a_table_without_rows_is_refused(tables, tmp_path):
    deltalake.write_deltalake(tmp_path / "t", TABLE.slice(0, 0))
    with pytest.raises(ValueError, match=r"t \(version 0\) has 0 rows"):
        scan_delta(tmp_path / "t")
    empty = tables[scan_iceberg].catalog.create_table("n.empty", TABLE.schema)
    with pytest.raises(ValueError, match=r"n.empty \(snapshot None\) has 0 rows"):
        scan_iceberg(empty)
