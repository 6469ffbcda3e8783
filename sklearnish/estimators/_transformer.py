"""TorchTransformer: rows in, codes out, and rows again."""

import inspect
import math
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sklearnish.data import Batch, Dataset, as_dataset
from sklearnish.estimators._base import Array, TorchEstimator
from sklearnish.estimators._constructor import POSITIVE_INT, parameter, parameterized
from sklearnish.estimators._fitting.module import check_reconstruction_loss, input_dtype
from sklearnish.estimators._predicting.codes import RowLosses, decoded, function_of
from sklearnish.modules import Autoencoder
from sklearnish.preprocessing import FrameOutputMixin
from sklearnish.training import ModuleFunction, ReconstructionNet, check_shape

_CPU = torch.device("cpu")


def _can_decode(transformer: Any) -> bool:
    """Ask whether the module, fitted or asked for, has a method `decode`."""
    asked = transformer._module_asked()[0]
    return hasattr(getattr(transformer, "module_", asked), "decode")


@parameterized
class TorchTransformer(
    FrameOutputMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    TorchEstimator,
    auto_wrap_output_keys=None,
):
    """Transformer that trains a PyTorch module to reconstruct rows, and gives its codes.

    The default module is an autoencoder. X may be arrays, DataFrames, torch Datasets or Datasets of
    files that do not fit into memory; of Datasets `transform` returns Datasets, whose rows are
    transformed whenever they are read. y is ignored.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    Notes
    -----
    What a module of your own needs:

    - ``forward(X)`` returns one tensor, with as many values in a row as X has. The loss is
      ``criterion(forward(X), X)``. A module that has a method ``standardize`` is compared with
      ``standardize(X)`` instead: the default one, whose loss so counts all columns alike.
    - ``encode(X)`` returns the codes, which `transform` gives as a matrix. Without it `transform`
      gives what ``forward`` returns; `transform_method` names another method.
    - ``decode(codes)`` makes rows of codes, for `inverse_transform`, which is there if it is.

    With `augment`, it is the augmented rows that are reconstructed.

    On a CPU rows are transformed in blocks of 64, the last one filled up. So a row has the same
    code in memory, in files and in worker processes: bit for bit with the default module in
    float32, and but for the last bit with layers whose width is no multiple of 4, which the matrix
    products of a processor may round by the place of the row.

    Examples
    --------
    >>> import sklearnish as sn
    >>> from sklearn.datasets import load_iris
    >>> X, _ = load_iris(return_X_y=True)
    >>> codes = sn.TorchTransformer(n_components=2, random_state=0)
    >>> codes.fit_transform(X).shape
    (150, 2)
    >>> codes.inverse_transform(codes.transform(X)).shape
    (150, 4)
    >>> codes.score(X) > -0.1  # less than a tenth of the variance is lost
    True
    """

    module: Any = parameter(
        default=None,
        kind="nn.Module class or instance, or None",
        allowed=[None, type, nn.Module, callable],
        kw_only=False,
        doc="""The network to train. None is ``modules.Autoencoder``: an MLP that standardises
        rows and squeezes them into `n_components` numbers, and one that makes rows of these. A
        class is called with `module_params`, and with `in_features` (values per row),
        `out_features` (the same number) and `n_components` if its signature names them; an
        instance is copied, never changed. See Notes for its methods.""",
    )
    criterion: Any = parameter(
        default=None,
        kind="loss class or instance, or callable",
        allowed=[None, type, callable],
        doc="""The loss of a reconstruction, called with outputs and rows. None is the squared
        error, ``nn.MSELoss``.""",
    )
    n_components: int = parameter(
        default=2,
        kind="int",
        allowed=[POSITIVE_INT],
        after="module_params",
        doc="Number of values in a code, for a module whose signature names it.",
    )
    transform_method: str = parameter(
        default="auto",
        kind="str",
        allowed=[str],
        after="n_components",
        doc="""The method of the module that `transform` calls. "auto" is ``encode``, or
        ``forward`` if the module has no ``encode``.""",
    )

    monitor = "loss"
    _net_class = ReconstructionNet
    _methods: ClassVar[dict[str, str]] = {
        "transform": "_matrix_of",
        "score_samples": "_negative_of",
    }

    # Fit

    def fit(  # type: ignore[override]
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        X_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train the module to reconstruct rows.

        Parameters
        ----------
        X : Dataset, array-like, sparse matrix, DataFrame, Tensor or torch Dataset
            Rows to learn from.
        y : Ignored
            Here for scikit-learn's tools.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows in the loss; rows of weight 0 are skipped. None takes those of
            the Dataset, if it has any.
        X_val : like X, default=None
            Rows on which every epoch is evaluated; early stopping uses them instead of a held-out
            fraction.
        sample_weight_val : like sample_weight, default=None
            Weights of those rows.

        Returns
        -------
        self
            The fitted transformer.

        Raises
        ------
        ValueError
            If parameters or data cannot be used; raised before training if possible.
        FloatingPointError
            If the loss becomes NaN or infinite; the message names step, epoch and learning rate.
        """
        super().fit(
            X, sample_weight=sample_weight, X_val=X_val, sample_weight_val=sample_weight_val
        )
        return self

    def partial_fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> Self:
        """Train for one epoch on these rows, continuing from what was learned before.

        No rows are held out: `early_stopping` and its parameters are not used.

        Parameters
        ----------
        X : like X of fit
            Rows to learn from. The default module keeps the means and scales of the first call.
        y : Ignored
            Here for scikit-learn's tools.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.

        Returns
        -------
        self
            The fitted transformer.
        """
        self._partial_fit(X, None, sample_weight)
        return self

    def _check_params(self, *, fresh: bool) -> None:
        if self.sampler == "balanced":
            raise ValueError(
                'sampler="balanced" draws classes alike, and a transformer has none; use '
                '"shuffle", or "weighted" with sample_weight.'
            )
        super()._check_params(fresh=fresh)

    def _rows(self, X: Any, *, reset: bool) -> Dataset:
        """Make a Dataset of X, with a target that no one looks at."""
        dataset = super()._rows(X, reset=reset)
        if dataset.row_shape == () and isinstance(row := dataset._first_row, dict):
            raise ValueError(
                f"Rows are dicts of {', '.join(row)}, but {type(self).__name__} reconstructs one "
                "array. Pass it, as np.column_stack(list(X.values())) makes it."
            )
        if reset:
            self._row_shape = dataset.row_shape
        return dataset.with_target(np.zeros(len(dataset), np.int8))

    def _module_asked(self) -> tuple[Any, dict[str, Any] | None]:
        module, params = super()._module_asked()
        module = Autoencoder if module is None else module
        if isinstance(module, nn.Module):
            return module, params
        named = "n_components" in inspect.signature(module).parameters
        return module, ({"n_components": self.n_components} if named else {}) | (params or {})

    def _check_outputs(self, module: nn.Module, rows: Batch, outputs: Tensor) -> None:
        """Refuse outputs that are no rows; try what transforms, and keep the shape of a code."""
        check_reconstruction_loss(self.criterion, standardized=hasattr(module, "standardize"))
        shaped = outputs.flatten(1) if outputs.shape == getattr(rows.X, "shape", None) else outputs
        check_shape(module, shaped, len(rows), self._n_outputs(), self._describe_outputs())
        method = self._method_of(module)
        if not callable(getattr(module, method, None)):
            raise ValueError(
                f"transform_method={method!r} is no method of {type(module).__name__}. Name one "
                'that takes rows and returns their codes, or leave "auto".'
            )
        function = ModuleFunction(module, method, self.precision, outputs.device, gives=None)
        self._transforms_by = method
        self._code_shape = tuple(function.infer(rows.X).shape[1:])
        self._n_features_out = math.prod(self._code_shape)

    def _method_of(self, module: nn.Module) -> str:
        """Name the method that transforms."""
        if self.transform_method != "auto":
            return self.transform_method
        return "encode" if hasattr(module, "encode") else "forward"

    def _method_in_fit(self) -> str:
        """Name the method that transformed in fit; a file saved before it was noted has none."""
        return getattr(self, "_transforms_by", None) or self._method_of(self.module_)

    def _check_y(self, y: Array, *, reset: bool) -> Array:
        return y

    def _to_loss(self, y: Array) -> Array:
        return y

    def _from_codes(self, y: Array) -> Array:
        return y

    def _n_outputs(self) -> int:
        return int(self.n_inputs_)

    def _choose_criterion(self, outputs: Tensor) -> Any:
        return nn.MSELoss if self.criterion is None else self.criterion

    def _width(self, outputs: Tensor) -> int:
        return self._n_outputs()

    def _describe_outputs(self) -> str:
        return f"a reconstruction of the {self._n_outputs()} values of a row"

    # Answers

    def transform(self, X: Any) -> Any:
        """Compute the codes of rows.

        Parameters
        ----------
        X : like X of fit
            Rows. Of a Dataset or torch Dataset, nothing is read but a few rows.

        Returns
        -------
        ndarray of shape (n_rows, n_features_out), DataFrame or Dataset
            Codes, in the precision of the module; a DataFrame after
            ``set_output(transform="pandas")``. Of a Dataset or torch Dataset a Dataset, whose rows
            are transformed on the CPU whenever they are read, with target and weights as before;
            `Streamed` and ``map_frames`` may come before it, not after. NaN and infinity in a row
            are then refused when that row is read.
        """
        check_is_fitted(self)
        if isinstance(X, Dataset | torch.utils.data.Dataset):
            return self._lazily(as_dataset(X))
        return self._in_output(X, self._predict("transform", X))

    def _lazily(self, rows: Dataset) -> Dataset:
        """Transform rows when they are read."""
        known = super()._rows(rows, reset=False)
        known = known._for_module(input_dtype(self.net_))
        return known.map_batches(function_of(self.net_, self._method_in_fit(), _CPU))

    @available_if(_can_decode)
    def inverse_transform(self, X: Any) -> Any:
        """Make rows of codes, by the method ``decode`` of the module.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features_out) or Dataset
            Codes.

        Returns
        -------
        ndarray of shape (n_rows, n_features_in) or (n_rows, ...), or Dataset
            Rows of the shape of those of `fit`; of a Dataset a Dataset.
        """
        check_is_fitted(self)
        if isinstance(X, Dataset):
            self._check_width(X.shape)
            return X.map_batches(self._decoder(_CPU))
        codes = check_array(X, dtype=self._dtype())
        self._check_width(codes.shape)
        decode = self._decoder(torch.device(self.net_.device))
        return decoded(decode, codes, self.predict_batch_size)

    def _decoder(self, device: torch.device) -> ModuleFunction:
        """Return what makes rows of codes."""
        shapes = {"takes": self._code_shape, "gives": self._row_shape}
        return function_of(self.net_, "decode", device, **shapes)

    def _check_width(self, shape: tuple[int, ...]) -> None:
        """Refuse what are no codes."""
        if shape[1:] != (self._n_features_out,):
            raise ValueError(
                f"X has shape {shape}, but a code of this {type(self).__name__} has "
                f"{self._n_features_out} values; wanted (n_rows, {self._n_features_out})."
            )

    def score_samples(self, X: Any) -> Array:
        """Compute the negative loss of the reconstruction of each row.

        The rows with the lowest are the least like those of `fit`: outliers.

        Parameters
        ----------
        X : like X of fit
            Rows.

        Returns
        -------
        ndarray of shape (n_rows,)
            Negative losses, as the criterion has them. Where it is a function without
            ``reduction``, each row has that of its batch.
        """
        return self._predict("score_samples", X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Compute the negative mean loss of reconstructions, so that searches find the least.

        Parameters
        ----------
        X : like X of fit
            Rows.
        y : Ignored
            Here for scikit-learn's tools.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.

        Returns
        -------
        float
            Negative loss. Of the default module and criterion, minus the share of the variance
            that is lost, averaged over columns.
        """
        scores = self.score_samples(X)
        check_consistent_length(scores, sample_weight)
        return float(np.average(scores.astype(np.float64), weights=sample_weight))

    def _computing(self, method: str) -> Any:
        if method == "score_samples":
            return RowLosses(self.net_)
        device = torch.device(self.net_.device)
        return function_of(self.net_, self._method_in_fit(), device)

    def _dtype(self) -> str:
        """Name the numbers that codes are."""
        return "float64" if self.precision == "float64" else "float32"

    def _answer_columns(self, method: str) -> list[str]:
        return ["score"] if method == "score_samples" else self.get_feature_names_out().tolist()

    def _matrix_of(self, outputs: Tensor) -> Array:
        """Take codes as they are."""
        return outputs.numpy()

    def _negative_of(self, losses: Tensor) -> Array:
        """Make scores of losses."""
        return -losses.numpy()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = [self._dtype()]
        return tags
