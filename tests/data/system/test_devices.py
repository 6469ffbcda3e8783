import os
import subprocess
import sys

import pytest
import torch

from sklearnish.data._system import devices
from sklearnish.data._system.devices import (
    current_device,
    device_for_fit,
    is_available,
    resolve_device,
)
from sklearnish.data._system.places import Site


def test_auto_takes_the_best_there_is():
    best = resolve_device("auto")
    assert is_available(best)
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert best == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "xla", "meta:x", None, 1.5])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(ValueError, match=f"device='?{device}'? is not available on this machine"):
        resolve_device(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_where_there_is_none():
    with pytest.raises(ValueError, match=r"device='cuda' is not .* Use 'auto' or 'cpu'"):
        resolve_device("cuda")


def test_devices_that_are_there():
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")


# Which one a fit gets


@pytest.fixture
def no_locks(monkeypatch):
    def ask():
        raise AssertionError

    monkeypatch.setattr(devices, "private_folder", ask)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
@pytest.mark.usefixtures("no_locks")
def test_without_gpus_nothing_is_locked():
    with device_for_fit("auto") as place:
        assert place.device == resolve_device("auto")
        assert place.watched([1]) == [1]


@pytest.mark.usefixtures("no_locks")
def test_a_named_device_is_obeyed_and_not_waited_for(monkeypatch):
    monkeypatch.setattr(devices, "_gpus", lambda: [Site(torch.device("meta"), "a", lambda: (0, 1))])
    with device_for_fit("cpu") as place:
        assert place.device == torch.device("cpu")
    with device_for_fit("auto", bound="cpu") as place:
        assert place.device == torch.device("cpu")
    with pytest.raises(ValueError, match="is not available"), device_for_fit("cuda:99"):
        raise AssertionError


def test_a_net_that_is_trained_on_stays_where_it_is(monkeypatch, tmp_path):
    sites = [Site(torch.device("cpu", n), f"made-up-{n}", lambda: (1, 2)) for n in range(2)]
    monkeypatch.setattr(devices, "_gpus", lambda: sites)
    monkeypatch.setattr(devices, "private_folder", lambda: tmp_path)
    with device_for_fit("auto", bound=torch.device("cpu", 1)) as place:
        assert place.device == torch.device("cpu", 1)
        assert {path.name.split(".")[0] for path in tmp_path.iterdir()} == {"made-up-1"}


def test_the_current_device_is_that_of_the_cpu_without_gpus():
    with current_device(torch.device("cpu")):
        assert torch.zeros(1).device == torch.device("cpu")


@pytest.mark.gpu
def test_a_fit_has_a_gpu_and_makes_it_the_current_one():
    before = torch.cuda.current_device()
    for number in range(torch.cuda.device_count()):
        with device_for_fit(f"cuda:{number}") as place:
            assert place.device == torch.device("cuda", torch.cuda.current_device())
    with device_for_fit("auto") as place:
        assert place.device == torch.device("cuda", torch.cuda.current_device())
        free, total = devices._memory(place.device.index)
        assert 0 < free <= total
    assert torch.cuda.current_device() == before


@pytest.mark.gpu
def test_gpus_have_names_of_their_own():
    names = {site.name for site in devices._gpus()}
    assert len(names) == torch.cuda.device_count()
    assert all(len(name) > 20 for name in names)  # a UUID, not a number


ASK = """
from sklearnish.data._system import devices
print(*[site.name for site in devices._gpus()])
"""


@pytest.mark.gpu
def test_names_do_not_depend_on_which_gpus_a_process_sees():
    last = torch.cuda.device_count() - 1
    shown = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    answers = [
        subprocess.run(
            [sys.executable, "-c", ASK],
            env=os.environ | shown | more,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for more in ({}, {"CUDA_VISIBLE_DEVICES": str(last)})
    ]
    if "CUDA_VISIBLE_DEVICES" not in os.environ:
        assert answers[1] == [answers[0][last]]


@pytest.mark.gpu
def test_memory_that_torch_keeps_is_given_back_if_it_is_much():
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    for share, kept in ((4, False), (256, True)):
        with device_for_fit("auto") as place:
            torch.empty(total // share, dtype=torch.uint8, device=place.device)
        assert (torch.cuda.memory_reserved(place.device) >= total // share) == kept
    torch.cuda.empty_cache()
