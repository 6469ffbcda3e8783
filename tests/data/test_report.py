import pytest

from sklearnish.data._report import EpochTimes, PipelineReport

EPOCHS = (
    EpochTimes(rows=100, batches=10, seconds=2.0, wait=0.5, read=1.0),
    EpochTimes(rows=100, batches=10, seconds=2.0, wait=1.5, read=1.0),
)


def report(epochs=EPOCHS, workers=2):
    return PipelineReport("processes", workers, "num_workers=2", "train.parquet", epochs)


def test_the_share_of_waiting_is_over_all_epochs():
    assert report().wait_share == 0.5
    assert report(()).wait_share == 0


def test_the_table_has_a_line_per_epoch():
    frame = report().to_frame()
    assert frame.index.tolist() == [1, 2]
    assert frame.index.name == "epoch"
    assert frame["rows_per_second"].tolist() == [50, 50]
    assert frame["wait"].tolist() == [0.5, 1.5]
    assert report(()).to_frame().empty


@pytest.mark.parametrize(("workers", "said"), [(2, " with 2 workers"), (0, "")])
def test_the_sentence(workers, said):
    first, *table = str(report(workers=workers)).splitlines()
    assert first == (
        "50% of the time the model waited for batches of train.parquet, read "
        f"processes{said} (num_workers=2)."
    )
    assert len(table) == 4
    assert str(report(())).count("\n") == 0
