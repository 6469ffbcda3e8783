"""Training: the one place that knows skorch."""

from sklearnish.training._checkpoint import Checkpoints
from sklearnish.training._checks import (
    check_probabilities,
    check_shape,
    dry_run,
    warn_of_final_activation,
)
from sklearnish.training._classifier_net import ClassifierNet
from sklearnish.training._devices import autocast, resolve_device, weight_dtype
from sklearnish.training._identity import fingerprint, fingerprint_of_rows
from sklearnish.training._loss import check_arguments, make_criterion
from sklearnish.training._memory import is_out_of_memory, of_same_kind
from sklearnish.training._net import Net
from sklearnish.training._optim import OPTIMIZERS
from sklearnish.training._scopes import seeded, thread_count
from sklearnish.training._statistics import input_moments, moments
from sklearnish.training._stopping import EarlyStopping

__all__ = [
    "OPTIMIZERS",
    "Checkpoints",
    "ClassifierNet",
    "EarlyStopping",
    "Net",
    "autocast",
    "check_arguments",
    "check_probabilities",
    "check_shape",
    "dry_run",
    "fingerprint",
    "fingerprint_of_rows",
    "input_moments",
    "is_out_of_memory",
    "make_criterion",
    "moments",
    "of_same_kind",
    "resolve_device",
    "seeded",
    "thread_count",
    "warn_of_final_activation",
    "weight_dtype",
]
