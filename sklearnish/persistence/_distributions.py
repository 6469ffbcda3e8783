"""Frozen distributions of scipy.stats, which a search draws from.

SciPy's own objects hold text that is run as code when they are restored, so none is ever loaded
without the user's trust. A name and numbers are saved instead, of which a new one is made.
"""

from numbers import Real
from typing import Any

from scipy import stats
from scipy.stats.distributions import rv_frozen
from sklearn.utils import check_random_state


class Distribution:
    """Stands for a frozen distribution."""

    def __init__(self, name: str, args: tuple[Any, ...], kwds: dict[str, Any]) -> None:
        self.name = name
        self.args = args
        self.kwds = kwds


def stand_in(value: Any) -> Distribution | None:
    """Describe a distribution, if it is SciPy's own, of numbers, without a generator of its own."""
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
    name, args, kwds = described.name, described.args, described.kwds
    found = vars(stats).get(name)
    if not isinstance(found, stats.rv_continuous | stats.rv_discrete):
        raise ValueError(f"scipy.stats has no distribution {str(name)[:80]!r}.")
    if type(args) is not tuple or type(kwds) is not dict:
        raise ValueError(f"it has a distribution {name!r} without parameters.")
    if not all(isinstance(number, Real) for number in (*args, *kwds.values())):
        raise ValueError(f"it has a distribution {name!r} of other things than numbers.")
    return found(*args, **kwds)
