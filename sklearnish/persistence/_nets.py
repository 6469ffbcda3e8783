"""An estimator of ours and its net as a record, and back.

A net is built again by the functions that `fit` builds it with; the file holds what training
changed. Only modules that were passed ready-made are put together from their parts.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn import config_context
from torch import Tensor, nn

from sklearnish.estimators._base import TorchEstimator
from sklearnish.estimators._building import make_module
from sklearnish.persistence._trust import is_known, name_of
from sklearnish.persistence._values import Decoder, Encoder
from sklearnish.training import Net, seeded, weight_dtype
from sklearnish.training._devices import is_available

_FOLDERS = frozenset({"checkpoint_dir"})
"""Parameters that are not saved: a stranger's file must not say where to write."""

_SETTINGS = (
    *("lr", "batch_size", "max_epochs", "optimizer", "lr_schedule", "clip_grad_norm"),
    *("accumulate_steps", "precision", "units", "weighted", "compile", "verbose"),
)
_STEPS = frozenset({"step", "eta", "mu", "mu_product"})
"""States of optimizers that are one number, whatever the shape of the weight."""

_FEW = 16
"""Values in one argument of a module that need no weights of their own to be believed."""

_REQUESTS = "_metadata_request"
_CPU = torch.device("cpu")


def describe(estimator: TorchEstimator, encoder: Encoder, where: str) -> dict[str, Any]:
    """Take an estimator apart."""
    params = estimator.get_params(deep=False)
    left_out = {*params, "net_", _REQUESTS}
    fitted = {name: value for name, value in vars(estimator).items() if name not in left_out}
    params = {name: value for name, value in params.items() if name not in _FOLDERS}
    net = vars(estimator).get("net_")
    return {
        "$class": name_of(type(estimator), where),
        "params": encoder.attributes(params, where),
        "fitted": encoder.attributes(fitted, where),
        "requests": encoder.encode(_requests(estimator), where),
        "net": None if net is None else _describe_net(estimator, net, encoder, where),
    }


def rebuild(record: dict[str, Any], decoder: Decoder) -> TorchEstimator:
    """Put an estimator together again."""
    kind = decoder.trust.find(record["$class"])
    if not (isinstance(kind, type) and issubclass(kind, TorchEstimator)):
        raise ValueError(f"{record['$class']} is no estimator of sklearnish.")
    params = {name: decoder.decode(node) for name, node in record["params"].items()}
    if _FOLDERS & set(params):
        raise ValueError(f"it sets {sorted(_FOLDERS & set(params))}, which sn.save never does.")
    estimator: TorchEstimator = kind(**params)
    estimator.__dict__.update(decoder.attributes(record["fitted"], kind))
    with config_context(enable_metadata_routing=True):
        for method, requests in decoder.decode(record["requests"]).items():
            getattr(estimator, f"set_{method}_request")(**requests)
    if record["net"] is not None:
        estimator.net_ = _rebuild_net(estimator, record["net"], decoder)
    return estimator


def _requests(estimator: Any) -> dict[str, dict[str, Any]]:
    """Say which metadata an estimator was told to ask for."""
    asked = vars(estimator).get(_REQUESTS)
    methods = {} if asked is None else vars(asked)
    found = {name: getattr(method, "requests", None) for name, method in methods.items()}
    return {name: dict(requests) for name, requests in found.items() if requests}


def _describe_net(
    estimator: TorchEstimator, net: Net, encoder: Encoder, where: str
) -> dict[str, Any]:
    """Take a net apart."""
    settings = {
        name: value
        for name, value in vars(net).items()
        if name in _SETTINGS or name.startswith("optimizer__")
    }
    if isinstance(estimator.module, nn.Module):
        module = encoder.encode(net.module_, f"{where}.module_")
    else:
        state = dict(net.module_.state_dict())
        _check_that_it_fits(estimator, state)
        module = encoder.encode(state, f"{where}.module_")
    return {
        "settings": {n: encoder.encode(v, f"{where}.{n}") for n, v in settings.items()},
        "module": module,
        "frozen": [n for n, p in net.module_.named_parameters() if not p.requires_grad],
        "criterion": encoder.encode(net.criterion_, f"{where}.criterion"),
        "descent": encoder.encode(net.descent_.state_dict(), f"{where}.optimizer"),
        "compiled": encoder.encode(_compiled(net), f"{where}.compiled"),
        "history": encoder.encode(list(net.history), f"{where}.history"),
        "device": str(net.device),
        "n_outputs": net.n_outputs_,
        "best_epoch": net.best_epoch_,
    }


def _compiled(net: Net) -> dict[str, Any] | None:
    """Say which shapes of batches were computed by a compiled step."""
    return None if net.compiled_ is None else net.compiled_.state_dict()


def _check_that_it_fits(estimator: TorchEstimator, state: dict[str, Any]) -> None:
    """Refuse to save weights that the module, built again, would not take."""
    try:
        with seeded(0, _CPU):
            _build(estimator).load_state_dict(state)
    except Exception as error:  # the module's own code: anything can come
        raise ValueError(
            f"module_ cannot be built again from module={estimator.module!r} and "
            f"module_params={estimator.module_params!r} ({error}). If they were changed since "
            "fit, put them back or fit again."
        ) from error


def _build(estimator: TorchEstimator) -> nn.Module:
    """Build the module as `fit` did."""
    sizes = {"in_features": estimator.n_inputs_, "out_features": estimator._n_outputs()}
    return make_module(estimator.module, estimator.module_params, sizes)


def _rebuild_net(estimator: TorchEstimator, record: dict[str, Any], decoder: Decoder) -> Net:
    """Build a net again, and give it what it had learned."""
    settings = _checked_settings(record["settings"], decoder)
    device = torch.device(record["device"])
    device = device if is_available(device) else _CPU
    with seeded(0, _CPU):
        dtype = weight_dtype(settings["precision"])
        module = _rebuild_module(estimator, decoder.decode(record["module"]), dtype)
    module.to(device)
    for name in record["frozen"]:
        module.get_parameter(name).requires_grad_(False)
    net = estimator._net_class(
        module,
        decoder.decode(record["criterion"]),
        device=device,
        callbacks=list(estimator.callbacks or []),
        **settings,
    )
    net.n_outputs_ = record["n_outputs"]
    net.initialize()
    net.history.extend(decoder.decode(record["history"]))
    descent = decoder.decode(record["descent"])
    if not decoder.trust.chose(_unwrapped(net.optimizer)):
        _check_state(net.optimizer_, descent["optimizer"])
    net.descent_.load_state_dict(net.lr_schedule, descent)
    if net.compiled_ is not None:
        net.compiled_.load_state_dict(decoder.decode(record["compiled"]))
    net.best_epoch_ = record["best_epoch"]
    net._set_training(False)
    return net


def _checked_settings(nodes: dict[str, Any], decoder: Decoder) -> dict[str, Any]:
    """Decode what a net is built with; what it calls must be of the kind that it expects."""
    for name in nodes:
        if name not in _SETTINGS and not name.startswith("optimizer__"):
            raise ValueError(f"it sets {name!r} of a net, which sn.save never does.")
    settings = {name: decoder.decode(node) for name, node in nodes.items()}
    schedule = torch.optim.lr_scheduler.LRScheduler
    for name, kind in (("optimizer", torch.optim.Optimizer), ("lr_schedule", schedule)):
        value = _unwrapped(settings[name])
        right = isinstance(value, type) and issubclass(value, kind)
        if not (right or value is None or isinstance(value, str) or decoder.trust.chose(value)):
            raise ValueError(f"its {name} is {value!r}, which is no {kind.__name__}.")
    return settings


def _unwrapped(value: Any) -> Any:
    """Return what a functools.partial calls in the end."""
    while isinstance(value, partial):
        value = value.func
    return value


def _rebuild_module(estimator: TorchEstimator, decoded: Any, dtype: torch.dtype) -> nn.Module:
    """Build the module and load its weights, or take one that came in parts."""
    if isinstance(decoded, nn.Module):
        return decoded
    if estimator.module is None or is_known(_unwrapped(estimator.module)):
        _check_size(estimator, decoded)
    module = _build(estimator)
    module.to(dtype)  # before the weights, so that none of them is rounded
    module.load_state_dict(decoded)
    return module


def _check_size(estimator: TorchEstimator, state: dict[str, Any]) -> None:
    """Refuse a small file that asks for a large module, before memory is taken."""
    for value in (estimator.module_params or {}, *_bound(estimator.module)):
        if (n := _longest(value)) > max(_FEW, len(state)):
            raise ValueError(
                f"it builds its module with {n:,} values in one place, and has {len(state):,} "
                "weights; the limit is as many."
            )
    with torch.device("meta"):
        wanted = {k: v.shape for k, v in _build(estimator).state_dict().items()}
    if wanted != {k: v.shape for k, v in state.items()}:
        raise ValueError("its weights are not those of its module.")


def _bound(module: Any) -> Iterator[Any]:
    """Yield what functools.partial binds to a module's class."""
    while isinstance(module, partial):
        yield module.args
        yield module.keywords
        module = module.func


def _longest(value: Any) -> int:
    """Count the values of the longest container in what a module is built with."""
    if isinstance(value, Tensor | np.ndarray):
        return int(np.prod(value.shape))
    if isinstance(value, Mapping):
        return max(len(value), _longest(list(value.values())))
    if isinstance(value, list | tuple | set | frozenset):
        return max(len(value), *map(_longest, value), 0)
    return 1


def _check_state(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Refuse states of another shape than their weights: fused steps do not look at shapes."""
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    places = [place for group in saved["param_groups"] for place in group["params"]]
    weight_at = dict(zip(places, weights, strict=True))
    for place, state in saved["state"].items():
        weight = weight_at[place]
        for name, value in state.items():
            wanted = torch.Size() if name in _STEPS else weight.shape
            if isinstance(value, Tensor) and value.shape != wanted:
                raise ValueError(
                    f"its optimizer has {name!r} of shape {tuple(value.shape)} for a weight of "
                    f"shape {tuple(weight.shape)}."
                )
