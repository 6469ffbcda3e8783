import re
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import sklearnish as sn
from sklearnish.data._loading.prepare import prepare_loader
from sklearnish.data._loading.report import EpochTimes, PipelineReport

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
        "50% of the time went into waiting for reading train.parquet. "
        "num_workers=2 could make the fit about 2.0x faster."
    )
    assert plan == "train.parquet, read by a thread (by rule):"
    assert len(table) == 4
    assert table[2].split()[:5] == ["1", "100", "10", "2.0", "50"]
    assert "3" in table[2].split()
    assert str(report()) == "train.parquet, read by a thread (by rule)."


def test_functions_of_rows_may_be_what_takes_long():
    slow = EpochTimes(rows=1, batches=1, seconds=2.0, wait=1.0, read=0.1, transform=1.9)
    assert (
        "went into waiting for functions of rows in ds.map or ds.map_batches on train.parquet"
        in report(slow).bottleneck
    )


def test_a_busy_model_needs_no_faster_reading():
    busy = EpochTimes(rows=1, batches=1, seconds=2.0, wait=0.02, read=1.9)
    assert report(busy).bottleneck == (
        "1% of the time went into waiting for reading train.parquet. "
        "The training step is the bottleneck."
    )


@pytest.mark.parametrize(
    ("workers", "cores", "tried"), [(0, 1, False), (2, 2, False), (0, 4, True)]
)
def test_where_workers_do_not_help_ready_rows_do(workers, cores, tried):
    slow = EpochTimes(rows=1, batches=1, seconds=2.0, wait=1.5, read=1.5 * max(1, workers))
    sentence = report(slow, workers=workers, cores=cores, tried=tried).bottleneck
    assert sentence.endswith(
        "Caching the rows with ds.cache(folder) could make the fit up to 4.0x faster. "
        f"(More workers would not help on {cores} core{'s' * (cores > 1)}.)"
    )


def test_rows_that_are_ready_cannot_be_made_readier():
    slow = EpochTimes(rows=1, batches=1, seconds=2.0, wait=1.5, read=1.5)
    copied = PipelineReport("inline", 0, "", "ndarray", (slow,), cores=1, work="copying")
    assert copied.bottleneck == (
        "75% of the time went into waiting for copying ndarray. "
        "Reading is limited by the speed of memory or disk."
    )


@pytest.mark.parametrize(("cure", "told"), [("", ""), ("climb it", ": climb it")])
def test_what_is_in_the_way_of_workers_is_told_instead(cure, told):
    assert report(SLOW, SLOW).advises_workers
    hindered = replace(report(SLOW, SLOW), obstacle="there is a wall", cure=cure)
    assert hindered.bottleneck == (
        "50% of the time went into waiting for reading train.parquet. "
        f"Worker processes would help, but there is a wall{told}."
    )


def test_workers_are_not_advised_where_they_are_of_no_use():
    busy = EpochTimes(rows=1, batches=1, seconds=2.0, wait=0.02, read=1.9)
    batch = EpochTimes(seconds=2.0, wait=1.5, read=0.5, transform=1.0, per_batch=1.0)
    unasked = (report(), report(busy), report(batch), report(SLOW, SLOW, tried=True))
    assert not any(one.advises_workers for one in unasked)
    assert not replace(report(SLOW, SLOW), start_seconds=60.0).advises_workers


def slow_row(x):
    time.sleep(0.001)
    return x


def slow_batch(X):
    time.sleep(0.02)
    return X


@pytest.fixture(scope="module")
def frame():
    X = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)
    return pd.DataFrame(X, columns=list("abcd")).assign(y=X[:, 0] > 0)


@pytest.fixture(scope="module")
def table(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "d.parquet"
    frame.to_parquet(path)
    return sn.scan_parquet(path, target="y")


def reported(data, **params):
    settings = {"max_epochs": 2, "batch_size": 100, "random_state": 0} | params
    return sn.TorchClassifier(**settings).fit(data).pipeline_report_


def on(report, cores):
    """What would be said with so many cores, where workers start in half a second."""
    return replace(report, cores=cores, start_seconds=0.5).bottleneck


@pytest.mark.parametrize("cores", [1, 8])
def test_a_slow_per_batch_function_is_named_and_no_worker_advised(table, cores):
    slow = reported(table, augment=[sn.per_batch(slow_batch)])
    for times in slow.epochs:
        assert 0.2 <= times.per_batch <= times.transform <= times.wait + 0.01
    sentence = on(slow, cores)
    assert "waiting for per-batch functions on" in sentence
    assert "workers do not help: make them faster" in sentence
    assert "num_workers=" not in sentence
    assert "cache" not in sentence
    assert " per_batch " in str(slow)
    assert " augment " not in str(slow)


def test_measuring_counts_per_batch_functions_as_the_training_step(table):
    """Workers could not run them, and must not be started for their sake."""
    noted = []
    batches = prepare_loader(table, batch_size=100, augment=sn.per_batch(slow_batch), num_workers=0)
    batches.tuner.note = lambda fetch, rows_left: noted.append(fetch)
    with batches:
        assert len(list(batches)) == 10
    assert sum(fetch.in_readers for fetch in noted) < 0.1
    assert sum(fetch.in_step for fetch in noted) >= 0.15


def test_no_cache_is_advised_for_augment(table):
    slow = reported(table, augment=slow_row, num_workers=1)
    assert all(1 <= times.augment <= times.transform for times in slow.epochs)
    free, busy = on(slow, 4), on(slow, 1)
    assert "waiting for functions of rows in augment= on" in free
    assert re.search(r"num_workers=\d could make the fit about \d\.\dx faster\.$", free)
    assert "Functions in augment= run anew in each epoch, so ds.cache does not help" in busy
    assert busy.endswith("(More workers would not help on 1 core.)")
    assert "Caching" not in free + busy


def test_the_gain_of_a_cache_leaves_augment_out(table):
    both = EpochTimes(seconds=2.0, wait=1.5, read=0.5, transform=1.0, augment=0.5)
    inline = PipelineReport("inline", 0, "", "d.parquet", (both,), cores=1)
    assert "ds.cache(folder) could make the fit up to 2.0x faster" in inline.bottleneck


def test_a_slow_map_over_rows_in_memory_is_cured_by_a_cache(frame):
    slow = reported(sn.as_dataset(frame[list("abcd")], frame["y"]).map(slow_row))
    assert slow.work == "copying"
    sentence = on(slow, 1)
    assert "waiting for functions of rows in ds.map or ds.map_batches on DataFrame" in sentence
    assert "Caching the rows with ds.cache(folder) could make the fit up to" in sentence
    assert "num_workers=4" in on(slow, 4)


def test_workers_that_start_for_longer_than_they_save_are_not_advised(table):
    small = reported(table.map(slow_row)[:100], num_workers=0)
    assert small.start_seconds >= 0.5
    sentence = replace(small, cores=4, start_seconds=1000.0).bottleneck  # on any machine
    assert "Caching the rows with ds.cache(folder)" in sentence
    assert sentence.endswith("s) is too short to repay starting workers (1000 s).)")
    assert "num_workers=" not in sentence
    assert "num_workers=4" in replace(small, cores=4, start_seconds=0.0).bottleneck


@pytest.mark.slow
def test_no_workers_are_advised_for_what_cannot_be_sent_to_them(table, monkeypatch):
    monkeypatch.setattr("sklearnish.data._loading.loader.n_cores", lambda: 4)
    sent = reported(table.map(slow_row), num_workers=0)
    assert "num_workers=4 could make the fit about" in sent.bottleneck
    local = reported(table.map(lambda x: slow_row(x)), num_workers=0).bottleneck
    assert (
        "Worker processes would help, but the dataset or a function cannot safely be sent" in local
    )
    assert local.endswith(": define the function at the top level of a module.")
    assert "num_workers=" not in local


def test_an_obstacle_is_looked_for_only_where_workers_would_be_advised(table):
    asked = []
    with prepare_loader(table, batch_size=100, num_workers=0) as batches:
        batches.tuner.obstacle = lambda: asked.append(1)
        assert len(list(batches)) == 10
        assert batches.report().obstacle == ""
        assert not asked


def test_a_notebook_shows_what_is_printed():
    shown = replace(report(SLOW, SLOW), source="<b>.parquet", skipped=("row <3>",), n_skipped=1)
    assert repr(shown) == str(shown)
    html = shown._repr_html_()
    assert "<p>50% of the time went into waiting for reading &lt;b&gt;.parquet" in html
    assert "1 row is left out because it is damaged, NaN or infinite: row &lt;3&gt;." in html
    assert html.count("<tr") == 4
    assert report()._repr_html_() == "<div><p>train.parquet, read by a thread (by rule).</p></div>"
