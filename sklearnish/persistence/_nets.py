"""An estimator of ours and its net as a record, and back.

A net is built again by the functions that `fit` builds it with; the file holds what training
changed. Only modules that were passed ready-made are put together from their parts.
"""

from typing import Any

import torch
from sklearn import config_context
from torch import nn

from sklearnish.data import is_available
from sklearnish.estimators import TorchEstimator, learned_by, module_of
from sklearnish.persistence._descent import bound, check_called, load_descent, longest
from sklearnish.persistence._fields import FITTED, check_data, check_fields, check_fitted
from sklearnish.persistence._trust import is_known, name_of, unwrapped
from sklearnish.persistence._values import Decoder, Encoder
from sklearnish.training import Net, seeded, weight_dtype

_FOLDERS = frozenset({"checkpoint_dir"})
"""Parameters that are not saved: a stranger's file must not say where to write."""

_SETTINGS = (
    *("lr", "batch_size", "max_epochs", "optimizer", "lr_schedule", "clip_grad_norm"),
    *(
        "accumulate_steps",
        "average_weights",
        "precision",
        "units",
        "weighted",
        "freeze",
        "lr_factors",
        "compile",
        "verbose",
    ),
)
_FEW = 16
"""Values in one argument of a module that need no weights of their own to be believed."""

_REQUESTS = "_metadata_request"
_CPU = torch.device("cpu")


def describe(estimator: TorchEstimator, encoder: Encoder, where: str) -> dict[str, Any]:
    """Take an estimator apart."""
    params = estimator.get_params(deep=False)
    left_out = {"net_", _REQUESTS}
    learned = {n: value for n, value in learned_by(estimator).items() if n not in left_out}
    fitted = encoder.attributes(learned, where)
    if is_known(type(estimator)):
        check_fitted(fitted)
    params = {name: value for name, value in params.items() if name not in _FOLDERS}
    net = vars(estimator).get("net_")
    return {
        "$class": name_of(type(estimator), where),
        "params": encoder.attributes(params, where),
        "fitted": fitted,
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
    estimator.__dict__.update(_fitted(estimator, record["fitted"], decoder))
    with config_context(enable_metadata_routing=True):
        for method, requests in decoder.decode(record["requests"]).items():
            getattr(estimator, f"set_{method}_request")(**requests)
    if record["net"] is not None:
        estimator.net_ = _rebuild_net(estimator, record["net"], decoder)
    return estimator


def _fitted(estimator: TorchEstimator, nodes: dict[str, Any], decoder: Decoder) -> dict[str, Any]:
    """Decode what a fit left; a parameter has been checked, and is not replaced by it."""
    kind = type(estimator)
    if taken := {*estimator.get_params(deep=False), "net_", _REQUESTS} & set(nodes):
        raise ValueError(f"it sets {sorted(taken)} of a fitted {kind.__name__}.")
    if is_known(kind):
        check_fitted(nodes)
    values = decoder.attributes(nodes, kind)
    listed = {name: value for name, value in values.items() if name in FITTED}
    check_fields(kind.__name__, listed, FITTED)
    return values


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
    learned = net._learned()
    return {
        "settings": {n: encoder.encode(v, f"{where}.{n}") for n, v in settings.items()},
        "module": module,
        "frozen": [n for n, p in net.module_.named_parameters() if not p.requires_grad],
        "criterion": encoder.encode(net.criterion_, f"{where}.criterion"),
        "descent": _data(encoder, learned["descent"], f"{where}.optimizer"),
        "compiled": _data(encoder, learned["compiled"], f"{where}.compiled"),
        "history": _data(encoder, list(net.history), f"{where}.history"),
        "device": str(net.device),
        "n_outputs": net.n_outputs_,
        "best_epoch": net.best_epoch_,
    }


def _data(encoder: Encoder, value: Any, where: str) -> Any:
    """Encode what must hold no code: it is given to functions of torch and skorch as it is."""
    return check_data(encoder.encode(value, where), where)


def _check_that_it_fits(estimator: TorchEstimator, state: dict[str, Any]) -> None:
    """Refuse to save weights that the module, built again, would not take."""
    try:
        with seeded(0, _CPU):
            module_of(estimator).load_state_dict(state)
    except Exception as error:  # the module's own code: anything can come
        raise ValueError(
            f"module_ cannot be built again from module={estimator.module!r} and "
            f"module_params={estimator.module_params!r} ({error}). If they were changed since "
            "fit, put them back or fit again."
        ) from error


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
    criterion = decoder.decode(record["criterion"])
    if not isinstance(criterion, nn.Module):
        raise ValueError(f"its criterion is a {type(criterion).__name__}, which is no module.")
    options: dict[str, Any] = {"device": device, "callbacks": list(estimator.callbacks or [])}
    net = estimator._net_class(module, criterion, **options, **settings)
    net.n_outputs_ = record["n_outputs"]
    net.initialize()
    for name in ("history", "descent", "compiled"):
        check_data(record[name], f"its {name}")
    net.history.extend(decoder.decode(record["history"]))
    load_descent(net, decoder.decode(record["descent"]), decoder.trust)
    if net.compiled_ is not None:
        net.compiled_.load_state_dict(decoder.decode(record["compiled"]))
    net.best_epoch_ = record["best_epoch"]
    net._set_training(False)
    return net


def _checked_settings(nodes: dict[str, Any], decoder: Decoder) -> dict[str, Any]:
    """Decode what a net is built with."""
    for name in nodes:
        if name not in _SETTINGS and not name.startswith("optimizer__"):
            raise ValueError(f"it sets {name!r} of a net, which sn.save never does.")
    settings = {name: decoder.decode(node) for name, node in nodes.items()}
    check_called(settings, decoder.trust)
    return settings


def _rebuild_module(estimator: TorchEstimator, decoded: Any, dtype: torch.dtype) -> nn.Module:
    """Build the module and load its weights, or take one that came in parts."""
    if isinstance(decoded, nn.Module):
        return decoded
    if estimator.module is None or is_known(unwrapped(estimator.module)):
        _check_size(estimator, decoded)
    module = module_of(estimator)
    module.to(dtype)  # before the weights, so that none of them is rounded
    module.load_state_dict(decoded)
    return module


def _check_size(estimator: TorchEstimator, state: dict[str, Any]) -> None:
    """Refuse a small file that asks for a large module, before memory is taken."""
    for value in (estimator.module_params or {}, *bound(estimator.module)):
        if (n := longest(value)) > max(_FEW, len(state)):
            raise ValueError(
                f"it builds its module with {n:,} values in one place, and has {len(state):,} "
                "weights; the limit is as many."
            )
    with torch.device("meta"):
        wanted = {k: v.shape for k, v in module_of(estimator).state_dict().items()}
    for name in {"mean_rest", "wide"} - set(state):  # an MLP of an older file lacks them
        wanted.pop(name, None)
    if wanted != {k: v.shape for k, v in state.items()}:
        raise ValueError("its weights are not those of its module.")
