"""The candidates of a search as a table: values of some parameters, score and time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Candidates:
    """The best candidate for each value, or pair of values, in each iteration of a search.

    Attributes
    ----------
    params : tuple of str
        One parameter or two.
    values : tuple of list
        The distinct values of each, numbers in ascending order, others as they came.
    table : DataFrame
        For each candidate: the numbers of its values (columns 0 and 1), mean, std, time, time_std,
        iter, resources, place (in the search). Mean is NaN where the fits failed.
    """

    params: tuple[str, ...]
    values: tuple[list[Any], ...]
    table: "pd.DataFrame"

    @classmethod
    def of(
        cls, results: Mapping[str, Any], params: str | Sequence[str] | None, metric: str
    ) -> "Candidates":
        """Read them from ``cv_results_``; raise ValueError if there is nothing to draw."""
        import pandas as pd

        if metric not in (known := metrics(results)):
            raise ValueError(f"The search has no metric={metric!r}; choose one of {known}.")
        names = _chosen(results, params)
        columns = {
            "mean": results[f"mean_test_{metric}"],
            "std": results[f"std_test_{metric}"],
            "time": results["mean_fit_time"],
            "time_std": results["std_fit_time"],
            "iter": results.get("iter", 0),
            "resources": results.get("n_resources", 0),
            "place": np.arange(len(results["mean_fit_time"])),
        }
        table = pd.DataFrame({name: np.asarray(column) for name, column in columns.items()})
        has_all = np.logical_and.reduce([_is_given(results[f"param_{name}"]) for name in names])
        table, values = table[has_all].copy(), []
        _check_some_scores(table, names, metric)
        for place, name in enumerate(names):
            distinct, table[place] = _numbered([*results[f"param_{name}"][has_all]])
            values.append(distinct)
        ranked = table.sort_values("mean", ascending=False, na_position="last", kind="stable")
        best = ranked.drop_duplicates(["iter", *range(len(names))])
        in_order = best.sort_values(["iter", *range(len(names))], ignore_index=True)
        return cls(names, tuple(values), in_order)

    @property
    def best(self) -> int:
        """Index of the first best score; of a successive halving, in its last iteration."""
        scored = self.table[self.table["mean"].notna()]
        last = scored[scored["iter"] == scored["iter"].max()]
        return int(last.sort_values(["mean", "place"], ascending=[False, True]).index[0])


def metrics(results: Mapping[str, Any]) -> list[str]:
    """Name the scores of a search, as its `refit` does; a single one is called "score"."""
    return [key.removeprefix("mean_test_") for key in results if key.startswith("mean_test_")]


def _check_some_scores(table: "pd.DataFrame", names: tuple[str, ...], metric: str) -> None:
    """Raise if no candidate has these parameters together, or none of those that do has a score."""
    if table.empty:
        raise ValueError(
            f"No candidate of the search has both {names[0]} and {names[1]}: they belong to "
            f"different grids of the list. Choose one of them with params=: {[*names]}."
        )
    if not np.isfinite(table["mean"]).any():
        raise ValueError(
            f"There is no score to draw: mean_test_{metric} is NaN for every candidate that has "
            f"{' and '.join(names)}."
        )


def _chosen(results: Mapping[str, Any], params: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return one or two parameters: those asked for, or those that vary."""
    known = [key.removeprefix("param_") for key in results if key.startswith("param_")]
    if params is None:
        varied = [n for n in known if len(_numbered([*results[f"param_{n}"]])[0]) > 1]
        chosen = varied or known[:1]
        if len(chosen) > 2:
            raise ValueError(
                f"The search varied {len(chosen)} parameters. Choose one or two of them with "
                f"params=: {chosen}."
            )
        return tuple(chosen)
    chosen = [params] if isinstance(params, str) else [*params]
    if unknown := [name for name in chosen if name not in known]:
        raise ValueError(f"The search has no parameter {unknown[0]!r}; it has {known}.")
    if len(set(chosen)) != len(chosen) or len(chosen) not in (1, 2):
        raise ValueError(f"params must be one or two names, got {params!r}.")
    return tuple(chosen)


def _is_given(values: Any) -> Any:
    """Say which candidates have a parameter at all: a list of grids may not give it to all."""
    return ~np.ma.getmaskarray(values)


def _numbered(values: list[Any]) -> tuple[list[Any], list[int]]:
    """Return the distinct values, and which of them each value is."""
    distinct = list({repr(value): value for value in values}.values())
    if all(isinstance(value, int | float | np.number) for value in distinct):
        distinct.sort()
    numbers = {repr(value): i for i, value in enumerate(distinct)}
    return distinct, [numbers[repr(value)] for value in values]
