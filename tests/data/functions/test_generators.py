import functools
import random
import threading
import types
from contextvars import ContextVar

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.mixture import GaussianMixture
from torch.utils.data import Dataset

from sklearnish import as_dataset, per_batch
from sklearnish.data._functions.generators import find_generators, seed_held

KINDS = {
    "default_rng": (lambda: np.random.default_rng(0), lambda g: g.normal()),
    "philox": (lambda: np.random.Generator(np.random.Philox(0)), lambda g: g.normal()),
    "mt19937": (lambda: np.random.Generator(np.random.MT19937(0)), lambda g: g.normal()),
    "RandomState": (lambda: np.random.RandomState(0), lambda g: g.normal()),
    "RandomState of PCG64": (
        lambda: np.random.RandomState(np.random.PCG64(0)),
        lambda g: g.normal(),
    ),
    "random": (lambda: random.Random(0), lambda g: g.gauss(0, 1)),
    "torch": (
        lambda: torch.Generator().manual_seed(0),
        lambda g: float(torch.randn((), generator=g)),
    ),
}

GLOBAL = np.random.default_rng(5)


class Holder:
    """Something with attributes."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def __call__(self, x):
        return x


class Slotted:
    __slots__ = ("generator",)

    def __init__(self, generator):
        self.generator = generator


class Reads:
    def method(self):
        return helper()


def helper():
    return GLOBAL.normal()


def closure(g):
    return lambda x: x + g.normal()


def default(g):
    def function(x, *, g=g):
        return x + g.normal()

    return function


def set_in_context(g):
    holder = Holder(rng=ContextVar("rng"), empty=ContextVar("empty"))
    holder.rng.set(g)
    return holder


def of_a_thread(g):
    holder = Holder(local=threading.local())
    holder.local.rng = g
    return holder


PLACES = {
    "attribute": lambda g: Holder(rng=g),
    "of an attribute": lambda g: Holder(a=Holder(rng=g)),
    "list": lambda g: Holder(steps=[1, Holder(), Holder(rng=g)]),
    "dict": lambda g: {"train": [({g},)]},
    "slot": Slotted,
    "closure": closure,
    "default": default,
    "partial": lambda g: functools.partial(map, g),
    "namespace": lambda g: Holder(config=types.SimpleNamespace(rng=g)),
    "array of objects": lambda g: Holder(rngs=np.array([g, None], dtype=object)),
    "iterator": lambda g: Holder(numbers=iter(lambda: g, None)),
    "generator function": lambda g: Holder(numbers=(g for _ in range(3))),
    "cache": lambda g: functools.lru_cache(lambda k, g=g: g),
    "bound method": lambda g: Holder(rng=g).__call__,
    "context variable": lambda g: Holder(rng=ContextVar("rng", default=g)),
    "set in the context": set_in_context,
    "of a thread": of_a_thread,
    "module": lambda g: torch.nn.Sequential(type("Noise", (torch.nn.Module,), {"g": g})()),
}


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("place", list(PLACES))
def test_generators_are_found_wherever_they_are_held(kind, place):
    generator = KINDS[kind][0]()
    assert len(find_generators(PLACES[place](generator))) == 1


def test_generators_that_code_reads_are_found():
    assert len(find_generators(helper)) == 1
    assert len(find_generators(Reads())) == 1, "through a method, and a function that it calls"
    assert len(find_generators(GLOBAL.normal)) == 1, "through a method of the generator itself"


def test_generators_of_distributions_and_models_are_found():
    normal = scipy.stats.norm()
    normal.random_state = np.random.default_rng(0)
    assert len(find_generators(Holder(noise=normal))) == 1
    mixture = GaussianMixture(random_state=np.random.RandomState(0))
    assert len(find_generators(Holder(noise=mixture))) == 1


def test_one_generator_is_found_once():
    rng = np.random.default_rng(0)
    assert len(find_generators([rng, rng.bit_generator, Holder(a=rng)])) == 1


@pytest.mark.parametrize(
    "thing",
    [
        Holder(draw=np.random.normal),
        Holder(draw=random.random),
        Holder(g=torch.default_generator),
        Holder(g=random.SystemRandom()),
        Holder(np=np, frame=[1.0] * 10, text="a", array=np.zeros(3)),
        lambda x: np.random.default_rng(0).normal(),
    ],
)
def test_global_generators_and_plain_things_are_none(thing):
    assert find_generators(thing) == ()


def test_what_refers_to_itself_has_an_end():
    thing = Holder()
    thing.thing, thing.many = thing, [thing] * 3
    assert find_generators(thing) == ()


def test_too_many_are_refused():
    with pytest.raises(TypeError, match=r"Holder holds 65 random generators.*default_rng\(\(seed"):
        find_generators(Holder(rngs=[np.random.default_rng(i) for i in range(65)]))


@pytest.mark.parametrize("kind", list(KINDS))
def test_seeded_and_put_back(kind):
    make, draw = KINDS[kind]
    one, two = make(), make()
    draw(one), draw(two)
    (first, second) = find_generators([one, two])
    state = first.get()
    seed_held([first, second], 2**64 - 3)
    drawn, other = draw(one), draw(two)
    assert drawn != other, "two generators of one object draw other numbers"
    seed_held([first, second], 7)
    assert draw(one) != drawn
    seed_held([first, second], 2**64 - 3)
    assert draw(one) == drawn
    first.put(state)
    fresh = make()
    draw(fresh)
    assert draw(one) == draw(fresh)


class Noisy(Dataset):
    def __init__(self, generator, draw, lazily=False):
        self.make, self.draw = generator, draw
        self.generator = None if lazily else generator()

    def __len__(self):
        return 40

    def __getitem__(self, i):
        if self.generator is None:
            self.generator = self.make()
        return torch.tensor([self.draw(self.generator)]), i % 2


def drawn(ds, workers, **options):
    batches = ds.batches(10, shuffle=True, epochs=2, num_workers=workers, **options)
    return torch.cat([X for X, _ in batches])


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_dataset_draws_by_address(kind):
    make, draw = KINDS[kind]
    dataset = Noisy(make, draw)
    one, two = drawn(as_dataset(dataset), 0), drawn(as_dataset(Noisy(make, draw, lazily=True)), 0)
    assert torch.equal(one, two)
    assert len(one.unique()) == 80
    assert draw(dataset.generator) == draw(make()), "left as it was found"


@pytest.mark.parametrize("lazily", [False, True])
def test_workers_repeat_no_number(lazily):
    ds = as_dataset(Noisy(*KINDS["default_rng"], lazily=lazily))
    assert torch.equal(drawn(ds, 2), drawn(ds, 0))


@pytest.mark.parametrize("place", ["closure", "default"])
@pytest.mark.parametrize("named", [False, True])
def test_functions_draw_by_address(place, named):
    generator = np.random.default_rng(0)
    before = generator.bit_generator.state
    noise = PLACES[place](generator)

    def named_too(x, rng):
        return noise(x) + rng.normal()

    f = named_too if named else noise
    ds = as_dataset(np.zeros((40, 1)), np.arange(40) % 2)
    streams = {
        "augment": lambda n: drawn(ds, n, augment=f),
        "map": lambda n: drawn(ds.map(f), n),
        "map_batches": lambda n: drawn(ds.map_batches(f), n),
        "per_batch": lambda n: drawn(ds, n, augment=per_batch(f)),
    }
    for name, stream in streams.items():
        once = stream(0)
        assert torch.equal(once, stream("auto")), name
        assert name not in ("augment", "map") or len(once.unique()) == 80
    assert generator.bit_generator.state == before


class Jitter:
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __call__(self, x):
        return x + self.rng.normal()


def test_functions_repeat_no_number_in_workers():
    ds = as_dataset(np.zeros((40, 1)), np.arange(40) % 2).map(Jitter())
    assert torch.equal(drawn(ds, 2, augment=Jitter()), drawn(ds, 0, augment=Jitter()))
