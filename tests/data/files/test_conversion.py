import pytest

from sklearnish.data._files.conversion import Conversion, _cache_lock, cache_folder


def test_the_cache_folder_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SKLEARNISH_CACHE")
    assert cache_folder().name == "sklearnish"


def test_a_file_is_no_cache_folder(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.touch()
    monkeypatch.setenv("SKLEARNISH_CACHE", str(path))
    with pytest.raises(NotADirectoryError, match=r"variable SKLEARNISH_CACHE is '.*file', a file"):
        cache_folder()


def test_a_cache_folder_of_ones_own_is_private(tmp_path, monkeypatch):
    for name, mode in (("own", 0o700), ("chosen", 0o755)):
        if name == "chosen":
            monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / name))
        else:
            monkeypatch.delenv("SKLEARNISH_CACHE", raising=False)
        with _cache_lock(tmp_path / name / "x"):
            assert (tmp_path / name).stat().st_mode & 0o777 == mode


def test_a_cache_folder_that_cannot_be_written_names_its_variable(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(NotADirectoryError, match="SKLEARNISH_CACHE to a folder that can"),
        _cache_lock(tmp_path / "file" / "folder" / "x"),
    ):
        pass


def test_a_file_is_made_once_for_each_version_and_when_it_is_wanted_again(tmp_path):
    made = []

    def make(path):
        made.append(path)
        path.write_text(str(len(made)))

    def get(version, **options):
        plan = Conversion(tmp_path, "a", ["x"], [], version)
        return plan.open_or_make(lambda path: path.read_text(), make, **options)

    assert [get("1"), get("1"), get("2"), get("2", again=True), get("1")] == list("11234")
    assert len(list(tmp_path.iterdir())) == 1  # one version at a time
