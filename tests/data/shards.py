"""Tar shards for tests, as the package webdataset writes them."""

import warnings

import numpy as np

from tests.data.pictures import encoded, smooth

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import webdataset


def write(pattern, samples, maxcount=100):
    """Write dicts of fields, such as {"__key__": "a", "cls": 3}, into shards."""
    with webdataset.ShardWriter(str(pattern), maxcount=maxcount, verbose=0) as writer:
        for sample in samples:
            writer.write(sample)


def read(paths, form="rgb8"):
    """Read samples with webdataset, decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shards = webdataset.WebDataset([str(path) for path in paths], shardshuffle=False)
        return list(shards.decode(form))


def some(n=10):
    """Samples with every kind of field."""
    words = ["ant", "bee", "Zürich"]
    for i in range(n):
        yield {
            "__key__": f"part/{i:04}",
            "png": encoded(smooth(6, 8, i), "PNG"),
            "npy": np.arange(4, dtype=np.float32) + i,
            "cls": i % 3,
            "txt": words[i % 3],
            "json": {"label": words[i % 3], "box": {"width": i / 2}, "list": [i, i + 1]},
        }
