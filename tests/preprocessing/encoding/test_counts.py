"""Distinct values and their counts."""

from collections import Counter as Plain

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sklearnish.preprocessing._encoding.counts import Counter

WORDS = st.lists(st.sampled_from("abcdef"))


@given(st.lists(WORDS, max_size=5), st.booleans())
def test_chunks_are_added_up(chunks, coded):
    counter = Counter(most=6)
    for chunk in chunks:
        array = pa.array(chunk, pa.string())
        counter.add(array.dictionary_encode() if coded else array)
    values, counts = counter.counts()
    expected = Plain(word for chunk in chunks for word in chunk)
    assert dict(zip(values.to_pylist(), counts.tolist(), strict=True)) == expected
    assert values.to_pylist() == sorted(expected, key=lambda word: (-expected[word], word))


@given(st.permutations(list("aabbcddde")), st.integers(1, 9))
def test_whether_values_are_too_many_depends_on_no_order(words, size):
    counter = Counter(most=4)
    for start in range(0, len(words), size):
        counter.add(pa.array(words[start : start + size]))
    assert counter.too_many
    assert counter.counts() is None


def test_long_texts_are_too_many_by_their_bytes(monkeypatch):
    monkeypatch.setattr("sklearnish.preprocessing._encoding.counts._MOST_BYTES", 100)
    counter = Counter(most=50)
    counter.add(pa.array(["x" * 60]))
    assert not counter.too_many
    counter.add(pa.array(["y" * 60]))
    assert counter.too_many
