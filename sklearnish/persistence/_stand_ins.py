"""What is stored in the place of an object that skops cannot, or must not, put together itself.

Our estimators are stored apart. skops would call what a functools.partial names before it is known
with what. SciPy's distributions hold text that is run as code when they are restored.
"""

from functools import partial
from numbers import Real
from typing import Any

from sklearnish.data import shown


class Part:
    """Stands for an estimator of ours."""

    def __init__(self, index: int) -> None:
        self.index = index


class Partial:
    """Stands for a functools.partial, whose function must be trusted like any other."""

    def __init__(self, function: Any, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self.function = function
        self.args = args
        self.keywords = keywords


class Distribution:
    """Stands for a frozen distribution of scipy.stats: a name and numbers."""

    def __init__(self, name: str, args: tuple[Any, ...], kwds: dict[str, Any]) -> None:
        self.name = name
        self.args = args
        self.kwds = kwds


def take_apart(value: Any) -> Partial | None:
    """Name the parts of a partial, if it is no more than these."""
    if type(value) is not partial or vars(value):
        return None
    return Partial(value.func, value.args, value.keywords)


def put_together(parts: list[Any]) -> "partial[Any]":
    """Make a partial of its parts, which may come from a stranger."""
    function, args, keywords = parts
    if not callable(function) or type(args) is not tuple or type(keywords) is not dict:
        raise ValueError(
            f"it has a functools.partial of a {type(function).__name__}, a {type(args).__name__} "
            f"and a {type(keywords).__name__}; wanted a function, a tuple and a dict."
        )
    return partial(function, *args, **keywords)


def stand_in(value: Any) -> Distribution | None:
    """Describe a distribution, if it is SciPy's own, of numbers, without a generator of its own."""
    from scipy.stats.distributions import rv_frozen
    from sklearn.utils import check_random_state

    if not isinstance(value, rv_frozen) or value.random_state is not check_random_state(None):
        return None
    described = Distribution(value.dist.name, value.args, value.kwds)
    try:
        again = freeze(described)
    except ValueError:
        return None
    same = type(again) is type(value) and type(again.dist) is type(value.dist)
    return described if same else None


def freeze(described: Distribution) -> Any:
    """Make a distribution of what stands for it, which may come from a stranger."""
    from scipy import stats

    name, args, kwds = described.name, described.args, described.kwds
    found = vars(stats).get(name)
    if not isinstance(found, stats.rv_continuous | stats.rv_discrete):
        raise ValueError(f"scipy.stats has no distribution {shown(str(name))}.")
    if type(args) is not tuple or type(kwds) is not dict:
        raise ValueError(f"it has a distribution {name!r} without parameters.")
    if not all(isinstance(number, Real) for number in (*args, *kwds.values())):
        raise ValueError(f"it has a distribution {name!r} of other things than numbers.")
    return found(*args, **kwds)
