"""A few training rows as the module gets them: images with their labels, or rows of a table."""

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_random_state, get_tags

from sklearnish.data import Dataset
from sklearnish.estimators import check_some_rows
from sklearnish.plotting import _axes, _images, _table
from sklearnish.plotting._first_batch import first_batch

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.table import Table
    from matplotlib.text import Text


class BatchDisplay:
    """Rows of a training batch: images after augmentation with their labels, or a drawn table.

    It shows what the module is given, so that an augmentation that does too much, a wrong order
    of channels, or labels that do not belong to their rows can be seen. Use :meth:`from_dataset`
    or :meth:`from_estimator` to make one.

    Parameters
    ----------
    rows : ndarray or DataFrame
        Images, shape (n, channels, height, width), (n, height, width, channels) or (n, height,
        width), or a table.
    labels : sequence of str, default=None
        What is written at each row.
    label_name : str, default="target"
        What the labels are called in the table.

    Attributes
    ----------
    rows, labels, label_name : object
        What is drawn.
    ax_ : matplotlib Axes
        The axes with all rows, once drawn.
    figure_ : matplotlib Figure
        The figure containing them.
    images_ : list of matplotlib AxesImage
        The images.
    texts_ : list of matplotlib Text
        The labels of the images.
    table_ : matplotlib Table or None
        The table.

    Examples
    --------
    >>> import numpy as np
    >>> import sklearnish as sn
    >>> images = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8), dtype=np.uint8)
    >>> ds = sn.as_dataset(images, y=["cat", "dog"] * 10)
    >>> display = sn.plotting.BatchDisplay.from_dataset(ds, augment=lambda x: x.flip(2), n_rows=4)
    >>> len(display.images_)
    4
    """

    ax_: "Axes"
    figure_: "Figure"
    images_: "list[AxesImage]"
    texts_: "list[Text]"
    table_: "Table | None"

    def __init__(
        self,
        *,
        rows: "npt.NDArray[Any] | pd.DataFrame",
        labels: Sequence[str] | None = None,
        label_name: str = "target",
    ) -> None:
        self.rows = rows
        self.labels = labels
        self.label_name = label_name

    @classmethod
    def from_dataset(
        cls,
        dataset: Dataset,
        *,
        augment: Any = None,
        n_rows: int = 16,
        random_state: int = 0,
        ax: "Axes | None" = None,
    ) -> "BatchDisplay":
        """Draw the first rows of a shuffled Dataset.

        Parameters
        ----------
        dataset : Dataset
            Images or a table, with or without a target.
        augment : callable, sequence of callables or per_batch, default=None
            Random functions of rows or batches, as estimators take them.
        n_rows : int, default=16
            How many rows to draw.
        random_state : int, default=0
            Seed of order and augmentation.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        BatchDisplay
            What was drawn.

        Raises
        ------
        TypeError
            If it is no Dataset.
        ValueError
            If rows are neither images nor a table, there are none, or a table of text is to be
            augmented.
        ImportError
            If matplotlib is not installed.
        """
        if not isinstance(dataset, Dataset):
            raise TypeError(
                f"dataset must be a Dataset, not {type(dataset).__name__}. Make one of arrays or a "
                "DataFrame with sn.as_dataset(X, y), of files with sn.scan_images(path) and others."
            )
        check_some_rows(dataset)
        rows, labels = first_batch(dataset, n_rows, augment=augment, random_state=random_state)
        return cls(rows=rows, labels=labels, label_name=_label_name(dataset)).plot(ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        n_rows: int = 16,
        ax: "Axes | None" = None,
    ) -> "BatchDisplay":
        """Draw rows as an estimator trains on them: by its sampler, after its augmentation.

        Parameters
        ----------
        estimator : estimator
            An estimator of sklearnish, fitted or not.
        X : Dataset, array-like, DataFrame or torch Dataset
            Rows to learn from, as `fit` takes them.
        y : array-like of shape (n_rows,) or (n_rows, n_targets), default=None
            Targets; None takes those of the Dataset; for a transformer, none.
        n_rows : int, default=16
            How many rows of the first batch to draw.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        BatchDisplay
            What was drawn. Rows that `fit` would hold out for validation are among them, and those
            of a table without augmentation are drawn at random, whatever the sampler.

        Raises
        ------
        TypeError
            If the estimator is not one of sklearnish, or `fit` would raise it for its parameters or
            for X.
        ValueError
            If rows are neither images nor a table, or `fit` would raise it for the estimator's
            parameters or for X.
        ImportError
            If matplotlib is not installed.
        """
        if not hasattr(estimator, "_augmentation"):
            raise TypeError(
                f"{type(estimator).__name__} does not train on batches. Give the estimator of "
                "sklearnish itself: pipeline[-1], or search.estimator."
            )
        dataset = _rows_of_fit(estimator, X, y)
        rows, labels = first_batch(
            dataset,
            n_rows,
            augment=estimator._augmentation(dataset),
            sampler=estimator.sampler,
            batch_size=estimator._sizes(len(dataset))[0],
            random_state=_seed(estimator),
            encode=is_classifier(estimator),
        )
        return cls(rows=rows, labels=labels, label_name=_label_name(dataset)).plot(ax)

    def plot(self, ax: "Axes | None" = None) -> "BatchDisplay":
        """Draw the rows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        BatchDisplay
            Itself, with `ax_` and `figure_`.

        Raises
        ------
        ValueError
            If rows are neither images nor a table.
        ImportError
            If matplotlib is not installed.
        """
        rows = self.rows
        images = _images.pixels(rows) if isinstance(rows, np.ndarray) else None
        self.ax_ = _axes.new_figure()[1][0] if ax is None else ax
        self.figure_ = self.ax_.figure  # type: ignore[assignment]
        self.ax_.set_axis_off()
        self.images_, self.texts_, self.table_ = [], [], None
        if images is not None:
            self.images_, self.texts_ = _images.draw(self.ax_, images, self.labels)
        elif not isinstance(rows, np.ndarray):
            self.table_ = _table.draw(self.ax_, rows, self.labels, self.label_name)
        return self


def _rows_of_fit(estimator: Any, X: Any, y: Any) -> Dataset:
    """Make a Dataset as `fit` does, after the same checks; the estimator stays as it is."""
    checking = copy(estimator)  # the checks note what they find
    checking._check_params(fresh=True)
    rows: Dataset = checking._rows(X, reset=True)
    check_some_rows(rows)
    if y is not None:
        return rows.with_target(y)
    return rows if get_tags(estimator).target_tags.required else rows.without_target()


def _seed(estimator: Any) -> int:
    """Return the seed of an estimator's fit, or of the fit that would be next."""
    if hasattr(estimator, "net_"):
        return int(estimator._seed)
    return int(check_random_state(estimator.random_state).randint(2**31 - 1))


def _label_name(dataset: Dataset) -> str:
    """Name the labels as their column is named."""
    return ", ".join(dataset._target.names) or "target"
