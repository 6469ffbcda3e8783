import pytest

from sklearnish.data._report import EpochTimes, PipelineReport

SLOW = EpochTimes(
    rows=100,
    batches=10,
    seconds=2.0,
    wait=1.0,
    read=1.5,
    transform=0.25,
    transfer=0.2,
    bytes_read=3 * 2**20,
    peak_memory=5 * 2**20,
    plan="thread",
)


def report(*epochs, workers=0, cores=4, tried=False):
    mode = "processes" if workers else "thread"
    return PipelineReport(mode, workers, "by rule", "train.parquet", epochs, cores, tried=tried)


def test_compute_is_what_is_left():
    assert SLOW.compute == pytest.approx(0.8)


def test_the_share_of_waiting_is_over_all_epochs():
    assert report(SLOW, EpochTimes(seconds=2.0)).wait_share == 0.25
    assert report().wait_share == 0


def test_the_table_has_a_line_per_epoch():
    frame = report(SLOW, SLOW).to_frame()
    assert frame.index.tolist() == [1, 2]
    assert frame.index.name == "epoch"
    assert frame["rows_per_second"].tolist() == [50, 50]
    assert frame["compute"].tolist() == pytest.approx([0.8, 0.8])
    assert frame["plan"].tolist() == ["thread", "thread"]
    assert frame["bytes_read"].tolist() == [3 * 2**20] * 2
    assert report().to_frame().empty


def test_it_is_printed_as_sentence_plan_and_table():
    sentence, plan, *table = str(report(SLOW, SLOW)).splitlines()
    assert sentence == (
        "50% of the time the model waited for reading train.parquet; "
        "num_workers=2 would be about 2.0x as fast."
    )
    assert plan == "train.parquet, read thread (by rule):"
    assert len(table) == 4
    assert table[2].split()[:5] == ["1", "100", "10", "2.0", "50"]
    assert "3" in table[2].split()
    assert str(report()) == "train.parquet, read thread (by rule)."


def test_functions_of_rows_may_be_what_takes_long():
    slow = EpochTimes(rows=1, batches=1, seconds=2.0, wait=1.0, read=0.1, transform=1.9)
    assert "waited for functions of rows, over train.parquet" in report(slow).bottleneck


def test_a_busy_model_needs_no_faster_reading():
    busy = EpochTimes(rows=1, batches=1, seconds=2.0, wait=0.02, read=1.9)
    assert report(busy).bottleneck == (
        "1% of the time the model waited: the training step is the bottleneck, "
        "not reading train.parquet."
    )


@pytest.mark.parametrize(
    ("workers", "cores", "tried"), [(0, 1, False), (2, 2, False), (0, 4, True)]
)
def test_where_workers_do_not_help_ready_rows_do(workers, cores, tried):
    slow = EpochTimes(rows=1, batches=1, seconds=2.0, wait=1.5, read=1.5 * max(1, workers))
    sentence = report(slow, workers=workers, cores=cores, tried=tried).bottleneck
    assert "by ds.cache(path), would be up to 4.0x as fast" in sentence
    assert "num_workers=" not in sentence


def test_rows_that_are_ready_cannot_be_made_readier():
    slow = EpochTimes(rows=1, batches=1, seconds=2.0, wait=1.5, read=1.5)
    copied = PipelineReport("inline", 0, "", "ndarray", (slow,), cores=1, work="copying")
    assert copied.bottleneck == (
        "75% of the time the model waited for copying ndarray; "
        "they are copied as fast as memory, or the disk, gives them."
    )
