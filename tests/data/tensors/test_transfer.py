import pytest
import torch

from sklearnish.data._tensors.batch import Batch, narrow, tensors_of
from sklearnish.data._tensors.transfer import SLOTS, Transfer, _Slot

CPU = torch.device("cpu")


def make_batch(number, n_rows=8):
    """Tensors of several types, in a batch that is like no other."""
    draw = torch.Generator().manual_seed(number)
    return Batch(
        torch.randn(n_rows, 5, generator=draw),
        torch.randint(100, (n_rows,), generator=draw),
        torch.rand(n_rows, generator=draw, dtype=torch.float64),
    )


def with_dict(batch):
    X = {"picture": (50 * batch.X).to(torch.uint8)[:, :, None], "seen": batch.X[:, 0] > 0}
    return Batch(X, batch.y)


def assert_same(batch, expected, device="cpu"):
    if isinstance(expected.X, dict):
        assert list(batch.X) == list(expected.X)
    assert (batch.y is None, batch.weight is None) == (expected.y is None, expected.weight is None)
    for tensor, wanted in zip(tensors_of(batch), tensors_of(expected), strict=True):
        assert tensor.device.type == device
        assert tensor.dtype == wanted.dtype
        assert torch.equal(tensor.cpu(), wanted)


SHAPES = {
    "all": lambda batch: batch,
    "features alone": lambda batch: Batch(batch.X),
    "dict": with_dict,
    "columns in another order": lambda batch: Batch(batch.X.flip(1).t().contiguous().t(), batch.y),
    "several targets": lambda batch: Batch(batch.X, batch.X[:, :2]),
}


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    return torch.device(request.param)


@pytest.mark.parametrize("pin", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_batch_arrives_as_it_was(shape, pin, device):
    transfer = Transfer(device, pin=pin)
    sizes = [8] * (2 * SLOTS) + [3, 9, 8]  # the last of an epoch is smaller, or larger by a row
    batches = [SHAPES[shape](make_batch(i, n)) for i, n in enumerate(sizes)]
    arrived = [transfer(batch) for batch in batches]  # kept: later calls must not touch them
    for batch, expected in zip(arrived, batches, strict=True):
        assert_same(batch, expected, device.type)


def test_a_batch_may_be_changed_once_it_was_sent(device):
    transfer = Transfer(device, pin=True)
    for number in range(SLOTS + 1):
        batch = make_batch(number)
        sent = transfer(batch)
        batch.X.zero_()
        assert_same(sent, make_batch(number), device.type)


def test_views_of_a_fetch_are_sent(device):
    transfer = Transfer(device, pin=True)
    fetch = make_batch(0, 20)
    for start in range(0, 20, 6):
        piece = narrow(fetch, start, start + 6)
        assert_same(transfer(piece), piece, device.type)


@pytest.mark.parametrize("pin", [False, True])
def test_what_is_on_the_device_is_passed_on(pin):
    meta = torch.device("meta")  # a device without memory stands for any but the host
    batch = Batch(torch.empty(4, 2, device=meta), torch.empty(4, device=meta))
    assert Transfer(meta, pin=pin)(batch) is batch


def test_without_a_ring_the_host_keeps_its_batches():
    batch = make_batch(0)
    assert Transfer(CPU, pin=False)(batch) is batch


def test_what_is_on_the_device_in_part_is_moved():
    batch = Batch(torch.empty(4, 2, device="meta"), torch.ones(4))
    X, y, _ = Transfer(torch.device("meta"), pin=True)(batch)
    assert X is batch.X
    assert y.device.type == "meta"


def buffers(slots):
    return [[(b.data_ptr(), b.nbytes) for b in slot._buffers] for slot in slots]


def test_the_buffers_are_used_in_turn_and_again():
    transfer = Transfer(CPU, pin=True)
    for number in range(SLOTS):
        transfer(make_batch(number))
    first = buffers(transfer._slots)
    assert all(len(of_slot) == 3 for of_slot in first)
    for number in range(3 * SLOTS):
        transfer(make_batch(number, n_rows=8 if number % 2 else 3))
    assert buffers(transfer._slots) == first


def test_each_batch_goes_to_the_slot_that_rested_longest():
    transfer = Transfer(CPU, pin=True)
    slots = list(transfer._slots)
    for number in range(2 * SLOTS):
        transfer(make_batch(number))
        used = slots[number % SLOTS]
        assert_same(used.hold(make_batch(number)), make_batch(number))
        assert transfer._slots[-1] is used


def test_a_buffer_grows_for_a_larger_batch_alone():
    slot = _Slot(pinned=False)
    slot.hold(make_batch(0, 4))
    ((_, small), *_), *_ = buffers([slot])
    slot.hold(make_batch(0, 9))
    large = buffers([slot])
    assert (small, large[0][0][1]) == (4 * 5 * 4, 9 * 5 * 4)
    slot.hold(make_batch(0, 2))
    assert_same(slot.hold(with_dict(make_batch(1, 5))), with_dict(make_batch(1, 5)))
    assert buffers([slot]) == large


def test_an_empty_batch_is_held():
    assert_same(_Slot(pinned=False).hold(make_batch(0, 0)), make_batch(0, 0))


def test_a_ring_used_in_inference_mode_serves_training_too():
    transfer = Transfer(CPU, pin=True)
    with torch.inference_mode():
        for number in range(SLOTS):
            transfer(make_batch(number))
    X = transfer(make_batch(7)).X
    weight = torch.ones(5, requires_grad=True)
    (X @ weight).sum().backward()  # refused for tensors of inference mode
    assert torch.allclose(weight.grad, make_batch(7).X.sum(0))


@pytest.mark.gpu
def test_the_buffers_are_page_locked():
    slot = _Slot(pinned=True)
    assert all(tensor.is_pinned() for tensor in tensors_of(slot.hold(make_batch(0))))


@pytest.mark.gpu
def test_nothing_is_allocated_once_the_ring_is_full():
    transfer = Transfer(torch.device("cuda"), pin=True)
    for number in range(4 * SLOTS):
        transfer(make_batch(number, 10_000))
        torch.cuda.synchronize()
    reserved, before = torch.cuda.memory_reserved(), buffers(transfer._slots)
    for number in range(20 * SLOTS):
        transfer(make_batch(number, 10_000))
    assert torch.cuda.memory_reserved() <= reserved + 2 * SLOTS * 2**21  # a few batches ahead
    assert buffers(transfer._slots) == before


@pytest.mark.gpu
def test_a_slow_step_sees_its_own_batch():
    """The host is far ahead of the device, and every buffer has been filled again meanwhile."""
    transfer = Transfer(torch.device("cuda"), pin=True)
    batches = [make_batch(number, 50_000) for number in range(8 * SLOTS)]
    sums = []
    for batch in batches:
        sent = transfer(batch)
        torch.cuda._sleep(20_000_000)  # some milliseconds on the consumer's stream
        sums.append(sent.X.double().sum())
        del sent  # its memory may be used again only when the sum is done
    found = torch.stack(sums).cpu()
    assert torch.allclose(found, torch.stack([batch.X.double().sum() for batch in batches]))


@pytest.mark.gpu
def test_waiting_for_steps_is_told_from_copying():
    transfer = Transfer(torch.device("cuda"), pin=True)
    for number in range(4 * SLOTS):
        transfer(make_batch(number))
        torch.cuda.synchronize()
    idle = transfer.behind
    for number in range(4 * SLOTS):
        transfer(make_batch(number))
        torch.cuda._sleep(100_000_000)
    assert transfer.behind > 10 * idle  # the ring is shorter than the steps that were launched


@pytest.mark.gpu
def test_the_host_is_only_a_few_batches_ahead():
    transfer = Transfer(torch.device("cuda"), pin=True)
    batch = make_batch(0, 200_000)
    nbytes = sum(tensor.nbytes for tensor in tensors_of(batch))
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_stats()["active_bytes.all.current"]
    for _ in range(40):
        sent = transfer(batch)
        torch.cuda._sleep(20_000_000)
        sent.X.add_(1)
    peak = torch.cuda.memory_stats()["active_bytes.all.peak"]  # what awaits its stream included
    assert peak - before < 4 * SLOTS * nbytes


@pytest.mark.gpu
def test_a_consumer_on_a_stream_of_its_own_waits_for_its_batch():
    transfer, own = Transfer(torch.device("cuda"), pin=True), torch.cuda.Stream()
    with torch.cuda.stream(own):
        for number in range(3 * SLOTS):
            batch = make_batch(number, 50_000)
            total = transfer(batch).X.double().sum()
            assert torch.isclose(total.cpu(), batch.X.double().sum())
