import struct
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.parquet import encryption

from sklearnish.data._sources.parquet.source import ParquetSource
from sklearnish.data._sources.parquet.thrift import Chunk, EncryptedError, read_chunks


def has_encrypted_columns(data):
    try:
        read_chunks(data)
    except EncryptedError:
        return True
    return False


class Keys(encryption.KmsClient):
    """Keeps keys as they are."""

    def wrap_key(self, key_bytes, _master_key):
        return key_bytes

    def unwrap_key(self, wrapped_key, _master_key):
        return wrapped_key


def write(path, **options):
    numbers = np.arange(300.0)
    table = pa.table({"x": numbers, "y": numbers.astype(str), "z": [[1, 2], [3]] * 150})
    pq.write_table(table, path, row_group_size=100, **options)
    return path


def encrypted(path):
    factory = encryption.CryptoFactory(lambda _config: Keys())
    config = encryption.EncryptionConfiguration(
        footer_key="f", column_keys={"k": ["y"]}, plaintext_footer=True
    )
    options = factory.file_encryption_properties(encryption.KmsConnectionConfig(), config)
    return write(path, encryption_properties=options)


def footer(path):
    data = path.read_bytes()
    return data[-8 - struct.unpack("<I", data[-8:-4])[0] : -8]


@pytest.mark.parametrize("signature", [0, 1, 27, 28, 29])
def test_encrypted_columns_are_found_whatever_follows_the_footer(tmp_path, signature):
    """Arrow does not look at the signature, and ends the process when asked for a column."""
    path = encrypted(tmp_path / "a.parquet")
    whole, signed = path.read_bytes(), footer(path)
    changed = (signed[:-28] + b"x" * 29)[: len(signed) - 28 + signature]
    assert has_encrypted_columns(changed)
    path.write_bytes(
        whole[: -8 - len(signed)] + changed + struct.pack("<I", len(changed)) + b"PAR1"
    )
    with pytest.raises(ValueError, match="columns of it are encrypted"):
        ParquetSource(path)


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def structure(*fields, short=True):
    """Write fields of a number, a kind and bytes, each by the difference or the number itself."""
    out, last = b"", 0
    for number, kind, data in fields:
        out += bytes([(number - last) << 4 | kind] if short else [kind, *varint(2 * number)]) + data
        last = number
    return out + b"\0"


@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize("number", [8, 2**16 + 8])
def test_a_column_is_found_in_whatever_form_it_is_written(short, number):
    crypto = structure((2, 12, structure((1, 9, b"\x18\x01y"))))
    others = [(2, 6, varint(4)), (3, 12, structure((1, 5, b"\2"), (9, 3, b"\1"))), (6, 1, b"")]
    column = structure(*others, (number, 12, crypto), short=short and number == 8)
    plain = structure(*others, (7, 11, b"\1\x88\1a\1b"), short=short)
    for columns, found in [([column], True), ([plain, column], True), ([plain, plain], False)]:
        listed = bytes([len(columns) << 4 | 12]) + b"".join(columns)
        group = structure((1, 9, listed), (2, 7, bytes(8)), short=short)
        groups = (4, 9, b"\xfc" + varint(20) + group * 20)
        assert has_encrypted_columns(structure((3, 6, varint(6)), groups, short=short)) == found


def test_footers_without_encryption_are_walked_through_to_their_end(tmp_path):
    data = footer(write(tmp_path / "a.parquet"))
    assert not has_encrypted_columns(data)
    for n in (len(data) - 1, len(data) // 2, 10, 0):
        with pytest.raises(ValueError, match="its footer is damaged"):
            has_encrypted_columns(data[:n])


@pytest.mark.parametrize(
    "data",
    [
        b"\x19\xf6" + b"\xff" * 100,  # a number without an end
        b"\x19\xf1\xff\xff\xff\xff\x7f",  # more items than there are bytes
        b"\x1c" * 100_000,  # structures in structures
        b"\x1f\0",  # a kind that is none
        b"\x18\xff\xff\xff\xff\x7f",  # longer text than the footer
    ],
)
def test_nonsense_is_damage(data):
    with pytest.raises(ValueError, match="its footer is damaged"):
        has_encrypted_columns(data)


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False, "column_encoding": "PLAIN"}])
def test_what_is_said_of_columns_is_what_arrow_says(tmp_path, options):
    path = write(tmp_path / "a.parquet", **options)
    metadata = pq.ParquetFile(path).metadata
    names = {"PLAIN": 0, "RLE": 3, "RLE_DICTIONARY": 8}
    arrows = [
        [
            Chunk(
                (said := metadata.row_group(i).column(j)).path_in_schema,
                [names[encoding] for encoding in said.encodings],
                said.num_values,
                said.total_uncompressed_size,
            )
            for j in range(metadata.num_columns)
        ]
        for i in range(metadata.num_row_groups)
    ]
    ours = read_chunks(footer(path))
    for chunk in (chunk for group in [*ours, *arrows] for chunk in group):
        chunk.encodings = sorted(chunk.encodings)
    assert ours == arrows
    assert ours[0][2] == Chunk("z.list.element", ours[0][2].encodings, 150, ours[0][2].size)


def test_a_field_of_another_kind_is_skipped():
    said = structure((2, 8, b"\1x"), (3, 5, b"\2"), (5, 12, b"\0"), (6, 5, b"\2"))
    columns = bytes([1 << 4 | 12]) + structure((3, 12, said), (8, 5, b"\2"))
    groups = bytes([1 << 4 | 12]) + structure((1, 9, columns))
    assert read_chunks(structure((4, 9, groups))) == [[Chunk()]]


def test_histograms_of_another_length_do_not_end_the_process(tmp_path):
    """Arrow throws when it is asked for such a column, where nobody can catch it."""
    path = write(tmp_path / "a.parquet", write_statistics=True)
    whole, data = path.read_bytes(), footer(path)
    histogram = b"\x19\x26"  # a list of two whole numbers, as of a column that may be missing
    assert histogram in data
    changed = data.replace(histogram, b"\x19\x36\0", 1)
    path.write_bytes(whole[: -8 - len(data)] + changed + struct.pack("<I", len(changed)) + b"PAR1")
    code = f"import sklearnish as sn; sn.scan_parquet({str(path)!r}).select(['x']).read([0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "histogram size mismatch" in done.stderr
