"""The module, criterion and net of one fit."""

import copy
import inspect
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from sklearnish import preprocessing, training
from sklearnish.data import (
    IN_FLOAT64,
    Batch,
    Dataset,
    Features,
    each,
    name_columns,
    nearest_to_block,
    read_finite,
    rounded_columns,
    to_device,
    warn_of_rounding,
)
from sklearnish.estimators._fitting.fine_tuning import parts_of, take_over
from sklearnish.estimators._fitting.images import show_images
from sklearnish.estimators._fitting.labels import targets
from sklearnish.estimators._fitting.sizes import choose_schedule
from sklearnish.modules import MLP, InputScaling, TableModule
from sklearnish.training import Net

_NO_ROUNDING = (
    "Subtract an offset, or scale before (StandardScaler works in float64; as a function of rows, "
    f"behind ds.with_dtype(torch.float64)), or {IN_FLOAT64}."
)

Start = Literal["new", "module", "net"]
"""What a fit begins with: a new net, one around the module that was fitted, or the fitted net."""

Known = dict[str, Any]
"""What building asks of the rows, noted so that they are not read to build the same again."""


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
            "loss again, several times a step. Use 'adam', 'adamw', 'sgd', 'muon' or another "
            "optimizer."
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


def check_reconstruction_loss(criterion: Any, *, standardized: bool) -> None:
    """Refuse torch's losses of classes, and those of probabilities where rows are standardised."""
    kind = _kind(criterion)
    of_shares = kind in (nn.BCELoss, nn.BCEWithLogitsLoss)
    if of_shares and standardized:
        raise ValueError(
            f"criterion={kind.__name__} compares values from 0 to 1, but this module reconstructs "
            "standardised rows. Use nn.MSELoss (the default) or nn.L1Loss; or a module of your own "
            "that has no method `standardize`."
        )
    if kind in _OF_CLASSES and not of_shares:
        raise ValueError(
            f"criterion={kind.__name__} is a loss of classes, but rows are compared with rows. Use "
            "nn.MSELoss (the default), nn.L1Loss, nn.HuberLoss or, for rows of values from 0 to 1, "
            "nn.BCEWithLogitsLoss."
        )


def _kind(criterion: Any) -> type:
    """Return the class of a criterion; a subclass, whatever it does, is another one."""
    return criterion if isinstance(criterion, type) else type(criterion)


def make_net(
    estimator: Any,
    start: Start,
    data: Dataset,
    device: torch.device,
    known: Known,
    *,
    is_first: bool = True,
) -> Net:
    """Make the net that is trained; that of the first process alone has callbacks and a bar."""
    if start == "net":
        net = estimator.net_.twin()
        net.batch_size = estimator.batch_size_
        estimator._adjust(net.module_)
        take_over(estimator, net)
        return net
    if start == "module":  # copied; parameters may have been changed since
        (module,) = training.copied_modules(estimator.net_.module_)
        module.to(device, training.weight_dtype(estimator.precision))
        estimator._adjust(module)
        net = build_net(estimator, module, data, device, known, is_first=is_first)
        net.history.extend(estimator.net_.history)
        return net
    estimator.n_inputs_ = n_inputs(data)
    module = build_module(estimator, data, device)
    weighted = data.weight is not None and estimator.sampler != "weighted"
    plain = estimator.augment is None
    show_images(module, data, estimator._seed, known)
    scale_inputs(module, data, estimator._seed, known, weighted=weighted, plain=plain)
    _begin_outputs(estimator, module, data)
    estimator._initialize(module)
    return build_net(estimator, module, data, device, known, is_first=is_first)


def _begin_outputs(estimator: Any, module: nn.Module, data: Dataset) -> None:
    """Let a module that asks for it begin with what the targets alone say."""
    setter = getattr(module, "set_output_bias", None)
    if setter is None:
        return
    first = estimator._first_outputs(targets(data), data.weight)
    if first is not None:
        setter(next(module.parameters()).new_tensor(first))


def build_module(estimator: Any, dataset: Dataset, device: torch.device) -> nn.Module:
    """Build the module for these rows, on the device."""
    if estimator.module is None:
        _check_one_input(dataset)
    module = module_of(estimator)
    return module.to(device=device, dtype=training.weight_dtype(estimator.precision))


def module_of(estimator: Any) -> nn.Module:
    """Build the module that an estimator asks for, and what it puts around it."""
    sizes = {"in_features": estimator.n_inputs_, "out_features": estimator._n_outputs()}
    asked, params = estimator._module_asked()
    made: nn.Module = estimator._around(make_module(asked, params, sizes))
    return made


def _check_one_input(dataset: Dataset) -> None:
    """Refuse rows that are dicts for the default module."""
    if dataset.row_shape == () and isinstance(X := dataset._first_row, dict):
        names = ", ".join(X)
        raise ValueError(
            f"Rows are dicts of {names}, but the default module takes one array. Pass a module "
            f"whose forward takes them by name, forward(self, {names}); or one array, "
            "np.column_stack(list(X.values())); or the columns of a table, pd.DataFrame(X). "
            "scikit-learn's tools make dicts of a Hugging Face Dataset: give them "
            "sn.as_dataset(X) instead."
        )


def check_inputs(module: nn.Module, dataset: Dataset) -> None:
    """Refuse rows that are dicts of other names than those that a module takes."""
    if dataset.row_shape != () or not isinstance(X := dataset._first_row, dict):
        return
    takes = inspect.signature(module.forward).parameters.values()
    names = [p for p in takes if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    missing = [p.name for p in names if p.default is p.empty and p.name not in X]
    known = X if any(p.kind is p.VAR_KEYWORD for p in takes) else [p.name for p in names]
    unknown = [name for name in X if name not in known]
    if missing or unknown:
        lacks = f" It lacks {', '.join(map(repr, missing))}." if missing else ""
        more = f" It does not take {', '.join(map(repr, unknown))}." if unknown else ""
        raise ValueError(
            f"X has the inputs {', '.join(map(repr, X))}, and forward of {type(module).__name__} "
            f"takes {', '.join(repr(p.name) for p in names)}.{lacks}{more}"
        )


def make_module(module: Any, params: dict[str, Any] | None, sizes: dict[str, int]) -> nn.Module:
    """Build a module: None is an MLP, a class is called, an instance is copied."""
    params = dict(params or {})
    if isinstance(module, nn.Module):
        if params:
            raise ValueError(
                f"module_params={params} need a module class, but module is an instance; pass "
                f"{type(module).__name__} itself."
            )
        return copy.deepcopy(module)
    factory = MLP if module is None else module
    names = inspect.signature(factory).parameters
    training.check_arguments(factory, params, "module")
    built = _call(factory, {name: n for name, n in sizes.items() if name in names} | params)
    if not isinstance(built, nn.Module):
        raise TypeError(
            f"module must be an nn.Module or a class of them; {module!r} gave "
            f"{type(built).__name__}."
        )
    return built


def _call(factory: Any, given: dict[str, Any]) -> Any:
    """Build a module; where it refuses its arguments, say where they come from."""
    try:
        return factory(**given)
    except TypeError as error:
        told = ", ".join(f"{key}={value!r}" for key, value in given.items()) or "no arguments"
        raise TypeError(
            f"module {training.spell(factory)} cannot be built with {told}: {error}. Give what it "
            "needs in module_params={...}; only in_features and out_features are given to it "
            "unasked, if its __init__ names them. Or pass a module that is built already."
        ) from error


def n_inputs(dataset: Dataset) -> int:
    """Count the values of a row, whatever its shape."""
    return int(np.prod(dataset.row_shape, dtype=np.int64))


def scale_inputs(
    module: nn.Module, dataset: Dataset, seed: int, known: Known, *, weighted: bool, plain: bool
) -> None:
    """Give a module that asks for it the moments of its inputs; warn of what float32 rounds off.

    The default module centres such inputs in float64 instead, where rows are `plain`: no function
    changes them.
    """
    setter = getattr(module, "set_input_scaling", None)
    if setter is None:
        if "rows" not in known:
            _warn_of_rounding(module, dataset, seed)
        return
    if "moments" not in known:
        mean, scale, coarse = preprocessing.input_moments(dataset, seed, weighted=weighted)
        known["moments"] = mean, scale
        known["wide"] = bool(coarse) and plain and _can_be_wide(module, dataset)
        if not known["wide"] and (coarse or dataset.transforms):
            _warn_of_rounding(module, dataset, seed, coarse)
    with torch.no_grad():
        setter(*known["moments"], **({"wide": True} if known.get("wide") else {}))


def _warn_of_rounding(
    module: nn.Module, dataset: Dataset, seed: int, coarse: Sequence[int] = ()
) -> None:
    """Warn if float32 rounds much off what is stored, or, failing that, off what functions make."""
    if any(weight.dtype == torch.float64 for weight in module.parameters()):
        return
    made = name_columns(coarse, getattr(dataset, "columns", ()), n_inputs(dataset))
    warn_of_rounding(rounded_columns(dataset, seed) or made, dataset.source.name, _NO_ROUNDING)


def _can_be_wide(module: nn.Module, dataset: Dataset) -> bool:
    """Say whether rows can reach the module in float64: neither functions nor MPS know it."""
    device = next(module.parameters()).device.type
    single = dataset.dtype == np.float32 and not dataset.transforms
    return isinstance(module, InputScaling) and single and device != "mps"


def input_dtype(net: Net) -> torch.dtype:
    """Say in which numbers rows are read for a net."""
    module, device = net.module_, torch.device(net.device)
    if isinstance(module, InputScaling) and module.wide and device.type != "mps":
        return torch.float64
    return training.weight_dtype(net.precision)


def build_net(
    estimator: Any,
    module: nn.Module,
    dataset: Dataset,
    device: torch.device,
    known: Known,
    *,
    is_first: bool = True,
) -> Net:
    """Try the module on some rows, choose the criterion, and build the net around both."""
    check_inputs(module, dataset)
    if "rows" not in known:
        known["rows"] = _two_rows(dataset, real=estimator.module is not None).X
    # The last of two rows is repeated: for two outputs, a mean over two rows would look right.
    rows = each(lambda x: x[torch.arange(3).clamp(max=len(x) - 1)], Batch(known["rows"]))
    rows = to_device(rows, device)
    outputs = training.dry_run(module, rows.X, estimator.precision, device)
    estimator._row = _described(known["rows"])
    chosen = estimator._choose_criterion(outputs)
    criterion = training.make_criterion(chosen, estimator._criterion_params(chosen))
    criterion.to(dtype=training.weight_dtype(estimator.precision))  # its weights, if it has any
    wanted = estimator._width(outputs)
    estimator._check_outputs(module, rows, outputs)
    training.check_probabilities(
        module, outputs, criterion, are_logits=isinstance(module, MLP | TableModule)
    )
    training.warn_of_final_activation(module, outputs, criterion)
    optimizer = training.OPTIMIZERS.get(estimator.optimizer, estimator.optimizer)
    freeze, lr_factors = parts_of(estimator, module)
    net = estimator._net_class(
        module,
        criterion,
        optimizer=optimizer,
        lr=estimator.lr,
        batch_size=estimator.batch_size_,
        max_epochs=getattr(estimator, "max_epochs_", 1),  # none in partial_fit
        lr_schedule=choose_schedule(estimator, len(dataset)),
        clip_grad_norm=estimator.clip_grad_norm,
        accumulate_steps=estimator.accumulate_steps,
        average_weights=estimator.average_weights,
        precision=estimator.precision,
        units=estimator._loss_units(criterion),
        weighted=estimator.sampler != "weighted",
        freeze=freeze,
        lr_factors=lr_factors,
        device=device,
        compile=estimator.compile,
        callbacks=list(estimator.callbacks or []) if is_first else [],
        verbose=int(estimator._bar() and is_first),
        **{f"optimizer__{k}": v for k, v in estimator._optimizer_params().items()},
    )
    net.n_outputs_ = wanted
    net.initialize()
    return net


def _described(X: Features) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    """Return name, type and shape of a row of each input; the name of the only one is ""."""
    inputs = X.items() if isinstance(X, dict) else [("", X)]
    return tuple(
        (name, str(x.dtype).removeprefix("torch."), tuple(x.shape[1:])) for name, x in inputs
    )


def _two_rows(dataset: Dataset, *, real: bool) -> Batch:
    """Take rows to try a module on: made up for an MLP if real ones cost reading a block.

    A user's module may fail on numbers it is not made for. Where rows come in blocks it is
    given one row twice, since a second may lie in another block.
    """
    n = min(2, len(dataset))
    if dataset.source.blocks is None or dataset.transforms:
        return read_finite(dataset, np.arange(n))
    if real:
        return read_finite(dataset, np.full(n, nearest_to_block(dataset)))
    made_up = np.random.default_rng(0).integers(0, 256, (n, *dataset.row_shape))
    return Batch(torch.from_numpy(made_up.astype(dataset.dtype)))
