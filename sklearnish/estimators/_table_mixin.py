"""What the estimators of tables share: columns of every kind in, an ensemble trained on them."""

from collections.abc import Iterator
from typing import Any, ClassVar

from sklearn.utils.validation import check_is_fitted

from sklearnish.data import Dataset, parse_bytes
from sklearnish.estimators._constructor import parameterized
from sklearnish.estimators._description import TableDescription, columns_told
from sklearnish.estimators._fitting.drafts import snapshot
from sklearnish.estimators._fitting.leaks import warn_of_leaks
from sklearnish.estimators._fitting.ranks import n_processes
from sklearnish.estimators._fitting.sizes import choose_table_sizes
from sklearnish.estimators._fitting.tables import encoded, encoder_of, table_rows, takes_codes
from sklearnish.estimators._predicting.answers import Answer, Piece
from sklearnish.estimators._predicting.spread import answers_of_dataset
from sklearnish.estimators._table_parameters import QUALITY, TableParameters
from sklearnish.modules import TableModule

_MANY = 2_000
"""Training rows from which on numbers enter as waves, too."""


@parameterized
class TableMixin(TableParameters):
    """Encodes columns before an estimator trains, and before it predicts."""

    _any_columns: ClassVar[bool] = True

    def _size(self, name: str) -> int:
        """Return what the user asked for, or what the quality says."""
        given = getattr(self, name)
        return QUALITY[self.quality][name] if given is None else int(given)

    # Rows

    def _rows(self, X: Any, *, reset: bool) -> Dataset:
        return table_rows(self, X, reset=reset)

    def _inputs(self: Any, data: Dataset) -> Dataset:
        return encoded(self.encoder_, data, parse_bytes(self.shuffle_memory))

    def _prepared(
        self, data: Dataset, valid: Dataset | None, *, fresh: bool
    ) -> tuple[Dataset, Dataset | None]:
        if fresh:
            self.encoder_ = encoder_of(self, data)
            warn_of_leaks(self, data, list(self.encoder_.columns_))
            auto = "periodic" if len(data) >= _MANY else "none"
            self.embedding_ = auto if self.embedding == "auto" else self.embedding
        return self._inputs(data), None if valid is None else self._inputs(valid)

    def _answers(self: Any, method: str, X: Any) -> tuple[int, Iterator[Piece]]:
        check_is_fitted(self)
        self = snapshot(self)
        rows = self._inputs(self._rows(X, reset=False))
        return len(rows), self._pieces(rows, self.net_, self._answer(method, X))

    def _pieces(self: Any, rows: Dataset, net: Any, answer: Answer) -> Iterator[Piece]:
        """Predict for encoded rows, batch by batch."""
        wanted, n = self.predict_batch_size, n_processes(self)
        return answers_of_dataset(net, answer, rows, wanted, n, **self._pipeline())

    # Network

    def describe(self: Any) -> TableDescription:
        """Say what each column became, and what the network is.

        Returns
        -------
        TableDescription
            A line per column, and one for the network; in a notebook a table. Its `columns` are a
            dict of kind and result of each column.
        """
        check_is_fitted(self)
        module = type(self.module_).__name__
        if isinstance(self.module_, TableModule):
            sizes = [f"{name}={self._size(name)}" for name in ("n_members", "width", "depth")]
            module += f"({', '.join(sizes)})"
        n_weights = sum(weight.numel() for weight in self.module_.parameters())
        epochs = "1 epoch" if self.n_iter_ == 1 else f"{self.n_iter_} epochs"
        trained = f"{epochs}, {self.batch_size_} rows per step"
        network = f"{module}, {n_weights:,} weights; {trained}"
        return TableDescription(columns_told(self.encoder_), network)

    def _module_asked(self: Any) -> tuple[Any, dict[str, Any]]:
        """Return the module's class or instance, and its parameters."""
        layout: dict[str, Any] = {}
        if takes_codes(self.module):
            found = self.encoder_.layout_
            layout = {
                name: getattr(found, name) for name in ("numbers", "indicators", "categories")
            }
        if self.module is not None:
            return self.module, layout | (self.module_params or {})
        sizes = {name: self._size(name) for name in ("n_members", "width", "depth")}
        own = {"task": self._task(), "embedding": self.embedding_}
        return TableModule, layout | sizes | own | (self.module_params or {})

    def _sizes(self: Any, n_rows: int) -> tuple[int, int]:
        return choose_table_sizes(self, n_rows, self._size("max_steps"))

    def _patience(self: Any) -> int:
        third = max(1, round(self.max_epochs_ / 3))
        return third if self.patience == "auto" else int(self.patience)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.sparse = False
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags
