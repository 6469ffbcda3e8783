"""Constructor parameters: what they may be, and those written as `module__hidden`."""

import os
from numbers import Integral, Real
from typing import Any

import torch
from sklearn.utils._param_validation import Interval, InvalidParameterError, StrOptions
from torch import nn

from sklearnish.data._transforms import PerBatch

PREFIXES = ("module", "optimizer", "criterion")

_positive_int = Interval(Integral, 1, None, closed="left")
_positive = Interval(Real, 0, None, closed="neither")

CONSTRAINTS: dict[str, list[Any]] = {
    "module": [None, type, torch.nn.Module, callable],
    "module_params": [dict, None],
    "criterion": [None, type, callable],
    "criterion_params": [dict, None],
    "optimizer": [StrOptions({"adam", "adamw", "sgd"}), type, callable],
    "optimizer_params": [dict, None],
    "lr": [_positive],
    "lr_schedule": [None, StrOptions({"cosine", "onecycle"}), type, callable],
    "max_epochs": [_positive_int],
    "batch_size": [_positive_int],
    "clip_grad_norm": [_positive, None],
    "accumulate_steps": [_positive_int],
    "precision": [StrOptions({"float32", "float64", "bf16", "fp16"})],
    "compile": ["boolean"],
    "device": [str, torch.device],
    "sampler": [str, callable],
    "augment": [None, callable, PerBatch, list, tuple],
    "shuffle_memory": [str, _positive_int],
    "on_bad_rows": [StrOptions({"raise", "skip"})],
    "num_workers": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
    "pin_memory": [StrOptions({"auto"}), "boolean"],
    "num_threads": [StrOptions({"auto"}), _positive_int],
    "worker_timeout": [_positive],
    "predict_batch_size": [StrOptions({"auto"}), _positive_int],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "monitor": [str],
    "patience": [_positive_int],
    "tol": [Interval(Real, 0, None, closed="left")],
    "isolate": ["boolean"],
    "checkpoint_dir": [str, os.PathLike, None],
    "warm_start": ["boolean"],
    "callbacks": [None, list, tuple],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
    "class_weight": [dict, StrOptions({"balanced"}), None],
    "standardize_target": ["boolean"],
}


_OF_CLASSES: tuple[type, ...] = (
    *(nn.CrossEntropyLoss, nn.NLLLoss, nn.BCELoss, nn.BCEWithLogitsLoss, nn.MultiMarginLoss),
    *(nn.MultiLabelMarginLoss, nn.MultiLabelSoftMarginLoss, nn.SoftMarginLoss),
)
_OF_NUMBERS: tuple[type, ...] = (
    *(nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.SmoothL1Loss, nn.PoissonNLLLoss),
    nn.GaussianNLLLoss,
)


def check_optimizer(optimizer: Any) -> None:
    """Refuse what cannot take a step from gradients alone."""
    factory = getattr(optimizer, "func", optimizer)  # of a functools.partial
    if isinstance(factory, type) and issubclass(factory, torch.optim.LBFGS):
        raise ValueError(
            f"optimizer={factory.__name__} is not supported: it needs a closure that computes the "
            "loss again, several times a step. Use 'adam', 'adamw', 'sgd' or another optimizer."
        )


def check_dir(folder: Any) -> None:
    """Refuse what names no folder; an empty text would stand for the current one."""
    if isinstance(folder, str | os.PathLike | None) and folder != "":
        return
    raise InvalidParameterError(
        f"checkpoint_dir={folder!r} names no folder. Pass the name of one (str or pathlib.Path), "
        "such as 'checkpoints', or None to keep no checkpoints."
    )


def check_callbacks(callbacks: Any) -> None:
    """Refuse what has none of the methods that skorch calls."""
    for given in callbacks or []:
        callback = given[1] if isinstance(given, tuple) and len(given) == 2 else given
        if not hasattr(callback, "on_train_begin"):
            raise TypeError(
                f"callbacks has {given!r}, which is no callback of skorch. Pass a list of them, "
                "such as [skorch.callbacks.EarlyStopping()], or of pairs (name, callback)."
            )


def check_regression_loss(criterion: Any) -> None:
    """Refuse torch's losses of classes, whose descent says nothing of numbers."""
    if (kind := _kind(criterion)) in _OF_CLASSES:
        raise ValueError(
            f"criterion={kind.__name__} is a loss of classes, but a regressor's targets are "
            "numbers. Use nn.MSELoss (the default), nn.L1Loss, nn.HuberLoss, nn.SmoothL1Loss or "
            "nn.PoissonNLLLoss; or, if y holds classes, TorchClassifier."
        )


def check_classification_loss(criterion: Any) -> None:
    """Refuse torch's losses of numbers."""
    if (kind := _kind(criterion)) in _OF_NUMBERS:
        raise ValueError(
            f"criterion={kind.__name__} is a loss of numbers, but a classifier's targets are "
            "classes. Use nn.CrossEntropyLoss (the default) or, for two classes or labels in "
            "columns, nn.BCEWithLogitsLoss; or, if y holds numbers, TorchRegressor."
        )


def _kind(criterion: Any) -> type:
    """Return the class of a criterion; a subclass, whatever it does, is another one."""
    return criterion if isinstance(criterion, type) else type(criterion)


def split_nested(params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Separate `module__hidden=1` and its like from the constructor's own parameters."""
    own: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for name, value in params.items():
        prefix, delimiter, key = name.partition("__")
        if delimiter and prefix in PREFIXES:
            nested.setdefault(prefix, {})[key] = value
        else:
            own[name] = value
    return own, nested


class NestedParams:
    """Lets `module__*`, `optimizer__*` and `criterion__*` stand for entries of the dicts."""

    @property
    def _parameter_constraints(self) -> dict[str, list[Any]]:
        """What scikit-learn's check of the parameters asks for."""
        return {name: CONSTRAINTS[name] for name in self._get_param_names()}  # type: ignore[attr-defined]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get parameters for this estimator.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add the entries of ``module_params`` as ``module__<name>``, and likewise
            for ``optimizer_params`` and ``criterion_params``.

        Returns
        -------
        dict of str to object
            Parameter names and their values.
        """
        params: dict[str, Any] = super().get_params(deep=False)  # type: ignore[misc]
        if deep:
            for prefix in PREFIXES:
                for key, value in (params[f"{prefix}_params"] or {}).items():
                    params[f"{prefix}__{key}"] = value
        return params

    def set_params(self, **params: Any) -> Any:
        """Set parameters of this estimator.

        Parameters
        ----------
        **params : object
            Constructor parameters; ``module__<name>`` sets one entry of ``module_params``, and
            likewise for ``optimizer__`` and ``criterion__``.

        Returns
        -------
        estimator
            The estimator itself.

        Raises
        ------
        ValueError
            If a name is unknown; the message lists those that are known.
        """
        own, nested = split_nested(params)
        unknown = sorted(set(own) - set(super().get_params(deep=False)))  # type: ignore[misc]
        if unknown:
            known = ", ".join(sorted(super().get_params(deep=False)))  # type: ignore[misc]
            raise ValueError(
                f"Invalid parameter {', '.join(map(repr, unknown))} for estimator "
                f"{type(self).__name__}. Valid parameters are: {known}; and module__<name>, "
                "optimizer__<name>, criterion__<name>."
            )
        for name, value in own.items():
            setattr(self, name, value)
        for prefix, entries in nested.items():
            name = f"{prefix}_params"
            setattr(self, name, {**(getattr(self, name) or {}), **entries})
        return self
