"""What an estimator of tables made of the columns, as text and as HTML."""

from collections.abc import Mapping
from dataclasses import dataclass

from sklearnish.data import as_html
from sklearnish.preprocessing import TableEncoder


@dataclass(frozen=True, repr=False)
class TableDescription:
    """What each column became, and what the network is; in a notebook, a table.

    Attributes
    ----------
    columns : dict of str to (str, str)
        For each column its kind, and the names of what it became or why it was left out.
    network : str
        The network, and how it was trained.
    """

    columns: Mapping[str, tuple[str, str]]
    network: str

    def __repr__(self) -> str:
        """Write a line per column, and one for the network."""
        width = max(map(len, self.columns))
        lines = [f"{name:<{width}}  {kind}: {told}" for name, (kind, told) in self.columns.items()]
        return "\n".join([*lines, self.network])

    def _repr_html_(self) -> str:
        """Write the same for a notebook."""
        import pandas as pd

        told = pd.DataFrame([*self.columns.values()], [*self.columns], ["kind", "becomes"])
        return as_html(told, self.network)


def columns_told(encoder: TableEncoder) -> dict[str, tuple[str, str]]:
    """Say of each column its kind, and what it became."""
    told = {name: ("left out", why) for name, why in encoder.left_out_.items()}
    for name, column in encoder.columns_.items():
        outputs = [
            f"{output.name} ({len(output.labels)} codes)" if output.labels else output.name
            for output in column.outputs(name)
        ]
        told[name] = column.kind, ", ".join(outputs)
    return told
