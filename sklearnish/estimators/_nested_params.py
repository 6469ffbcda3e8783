"""Constructor parameters as scikit-learn sets them, and those written as `module__hidden`."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

_PREFIXES = ("module", "optimizer", "criterion")

_SAME = {
    **dict.fromkeys(("epochs", "n_epochs", "num_epochs", "max_iter", "n_iter"), "max_epochs"),
    **dict.fromkeys(("learning_rate", "learning_rate_init", "eta"), "lr"),
    **dict.fromkeys(("seed", "random_seed"), "random_state"),
    **dict.fromkeys(("loss", "loss_fn", "loss_function"), "criterion"),
    **dict.fromkeys(("n_jobs", "workers", "n_workers"), "num_workers"),
    **dict.fromkeys(("model", "net", "network", "estimator"), "module"),
    **dict.fromkeys(("scheduler", "lr_scheduler"), "lr_schedule"),
    **dict.fromkeys(("scoring", "metric"), "monitor"),
    **dict.fromkeys(("transform", "transforms", "augmentation"), "augment"),
    **dict.fromkeys(("validation_split", "val_size", "train_split"), "validation_fraction"),
    "batch": "batch_size",
    "shuffle": "sampler",
    "solver": "optimizer",
    "n_iter_no_change": "patience",
    "gradient_clip_val": "clip_grad_norm",
}
"""What parameters are called elsewhere."""

_ALIKE = 0.75
"""How much a misspelled name has in common with the right one; 'activation' is no 'criterion'."""

_OF_OPTIMIZER = ("weight_decay", "momentum", "betas", "nesterov", "eps")


def _instead(name: str, known: Iterable[str], called: Mapping[str, str]) -> str:
    """Say what to write instead of a parameter that is not there.

    `called` has the names by which an estimator calls what others of ours call otherwise.
    """
    prefix, _, key = name.partition("__")
    ours = _SAME.get(name, name)
    meant = called.get(ours, ours)
    close = [meant] if meant in known else difflib.get_close_matches(name, known, 1, _ALIKE)
    if key and f"{prefix}_params" in known:
        return f"Write {prefix}_params={{{key!r}: ...}}, or set_params({name}=...). "
    if name in _OF_OPTIMIZER:
        return f"Write optimizer_params={{{name!r}: ...}}. "
    if close:
        intervals = close == ["criterion"] and "quantiles" in known
        more = "For quantiles of the target, quantiles=[0.05, 0.5, 0.95]. " * intervals
        return f"Write {close[0]}=... instead. {more}"
    if "module_params" not in known:
        return ""
    return (
        f"What the module takes goes into module_params={{{name!r}: ...}}, or is set by "
        f"set_params(module__{name}=...). "
    )


def suggesting(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap a constructor: its TypeError for an unknown keyword says what is meant, maybe."""
    known = inspect.signature(init).parameters
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values())

    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        unknown = [] if takes_any else [name for name in kwargs if name not in known]
        if unknown:
            told = f"{init.__qualname__}() got an unexpected keyword argument {unknown[0]!r}. "
            raise TypeError((told + _instead(unknown[0], known, self._called)).rstrip())
        init(self, *args, **kwargs)

    return wrapped


def _whole_signature(cls: type) -> inspect.Signature:
    """Return the signature of a constructor; `**kwargs` are the parameters of the one above it.

    scikit-learn asks it what to copy: a clone would lose, in silence, what `**kwargs` held.
    """
    found: dict[str, inspect.Parameter] = {}
    for init in (vars(base)["__init__"] for base in cls.__mro__ if "__init__" in vars(base)):
        declared = inspect.signature(init).parameters.values()
        named = [one for one in declared if one.kind is not inspect.Parameter.VAR_KEYWORD]
        if found:
            kind, args = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_POSITIONAL
            own = [one for one in named[1:] if one.kind is not args and one.name not in found]
            named = [one.replace(kind=kind) for one in own]
        found |= {one.name: one for one in named}
        if all(one.kind is not inspect.Parameter.VAR_KEYWORD for one in declared):
            break
    return inspect.Signature(list(found.values()))


class NestedParams:
    """Lets `module__*`, `optimizer__*` and `criterion__*` stand for entries of the dicts."""

    _parameters: ClassVar[dict[str, Any]] = {}
    _called: ClassVar[dict[str, str]] = {}
    """Names of parameters that a class calls otherwise: ours, and those of the class."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Let a constructor say what instead of a keyword that it does not take."""
        super().__init_subclass__(**options)
        owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
        if owner is cls or (owner is not object and not issubclass(owner, NestedParams)):
            cls.__init__ = suggesting(cls.__init__)  # type: ignore[method-assign]
            cls.__init__.__signature__ = _whole_signature(cls)  # type: ignore[attr-defined]

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
            for prefix in _PREFIXES:
                for key, value in (params.get(f"{prefix}_params") or {}).items():
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
        names = sorted(super().get_params(deep=False))  # type: ignore[misc]
        # A clone would lose what is set where the constructor takes no such dict.
        prefixes = [prefix for prefix in _PREFIXES if f"{prefix}_params" in names]
        known = ", ".join([*names, *(f"{prefix}__<name>" for prefix in prefixes)])
        own: dict[str, Any] = {}
        nested: dict[str, dict[str, Any]] = {}
        for name, value in params.items():
            prefix, delimiter, key = name.partition("__")
            if delimiter and prefix in prefixes:
                nested.setdefault(f"{prefix}_params", {})[key] = value
            else:
                own[name] = value
        unknown = sorted({*own} - {*names})
        if unknown:
            told = _instead(unknown[0], names, self._called)
            raise ValueError(
                f"Invalid parameter {', '.join(map(repr, unknown))} for estimator "
                f"{type(self).__name__}. {told}Valid parameters are: {known}."
            )
        for name, value in own.items():
            setattr(self, name, value)
        for name, entries in nested.items():
            setattr(self, name, {**(getattr(self, name) or {}), **entries})
        return self
