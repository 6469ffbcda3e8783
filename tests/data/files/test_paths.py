from pathlib import Path

import pytest

from sklearnish.data._files.paths import (
    describe,
    expand_paths,
    shown_cause,
    without_credentials,
)


def touch(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_glob_a_folder_and_a_list_give_files(tmp_path, monkeypatch):
    a, b = touch(tmp_path / "a.csv"), touch(tmp_path / "sub" / "b.csv")
    touch(tmp_path / "_SUCCESS"), touch(tmp_path / ".a.crc"), touch(tmp_path / "readme.md")
    assert expand_paths(str(tmp_path / "*.csv")) == [a]
    assert expand_paths(str(tmp_path / "**/*.csv")) == [a, b]
    assert expand_paths(tmp_path, (".csv",)) == [a, b]
    assert expand_paths([b, str(a)]) == [b, a]
    monkeypatch.chdir(tmp_path)
    assert expand_paths("a.csv") == [a]


def test_a_name_with_glob_characters_is_taken_literally_if_it_exists(tmp_path):
    odd = touch(tmp_path / "a[1].csv")
    assert expand_paths(odd) == [odd]


def test_missing_files_say_what_was_given(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv does not exist"):
        expand_paths(tmp_path / "nowhere.csv")
    with pytest.raises(FileNotFoundError, match=r"no file matches .*\*\.csv"):
        expand_paths(str(tmp_path / "*.csv"))
    with pytest.raises(FileNotFoundError, match=r"empty holds no \.csv file"):
        expand_paths(tmp_path / "empty", (".csv",))
    with pytest.raises(FileNotFoundError, match="list of paths is empty"):
        expand_paths([])


def test_what_cannot_be_meant_is_refused(tmp_path):
    a = touch(tmp_path / "a.csv")
    with pytest.raises(ValueError, match="given twice"):
        expand_paths([a, tmp_path / "*.csv"])
    with pytest.raises(ValueError, match=r"is empty \(0 bytes\)"):
        expand_paths(touch(tmp_path / "b.csv", ""))
    with pytest.raises(ValueError, match="is a URL"):
        expand_paths("s3://bucket/a.csv")
    with pytest.raises(TypeError, match="got int"):
        expand_paths([3])
    with pytest.raises(TypeError, match="got int"):
        expand_paths(3)


@pytest.mark.parametrize(
    ("paths", "name"),
    [
        ("data/*.csv", "data/*.csv"),
        (Path("data"), "data"),
        ("https://me:secret@host/a.csv?token=1", "https://host/a.csv"),
        (["data/*.csv"], "/data/a.csv and 1 more"),
    ],
)
def test_what_was_given_has_a_short_name(paths, name):
    assert describe(paths, ["/data/a.csv", "/data/b.csv"]) == name


def test_the_cause_of_an_error_is_shown_unless_it_has_credentials():
    plain = ValueError("http://host/a@b is gone")
    assert shown_cause(plain) is plain
    assert shown_cause(ValueError("http://me:p@ss@host/a is gone")) is None
    assert without_credentials("http://me:p@ss@host/a@b?sig=1 is gone") == "http://host/a@b is gone"
