"""The parameters that estimators share, in groups: each has its text here, and only here.

An estimator takes a group by having it as a base. To add a parameter, declare it in its group.
"""

import os
from numbers import Integral, Real
from typing import Any

import torch
from sklearn.utils._param_validation import Interval, StrOptions

from sklearnish.data import PerBatch
from sklearnish.estimators._constructor import (
    AUTO,
    POSITIVE,
    POSITIVE_INT,
    parameter,
    parameterized,
)

SCHEDULES = ("cosine", "onecycle", "triangular", "warmup-stable-decay")


@parameterized
class NetworkParameters:
    """What is trained, and on which loss."""

    module: Any = parameter(
        default=None,
        kind="nn.Module class or instance, or None",
        allowed=[None, type, torch.nn.Module, callable],
        kw_only=False,
        doc="""The network to train. None is an MLP that standardises its inputs, sized to the
        data. A class is called with `module_params`, and with `in_features` (values per row) and
        `out_features` (classes, 2 if binary; labels; or targets) if its signature names them; an
        instance is copied, never changed. It returns logits in a classifier, values in a
        regressor. ``forward`` gets the rows as one tensor, or as keyword arguments if they are a
        dict of tensors.""",
    )
    module_params: dict[str, Any] | None = parameter(
        default=None,
        doc="Arguments for the class; ``set_params(module__hidden=64)`` sets one of them.",
    )
    criterion: Any = parameter(
        default=None,
        kind="loss class or instance, or callable",
        allowed=[None, type, callable],
        doc="""The loss function. None is the squared error for a regressor and cross entropy for a
        classifier; binary cross entropy for several labels per row, or for a module with one
        output for two classes.""",
    )
    criterion_params: dict[str, Any] | None = parameter(
        default=None,
        doc="Arguments for the class; ``criterion__<name>`` sets one of them.",
    )


@parameterized
class DescentParameters:
    """How the weights change, for how long, and on which device."""

    optimizer: Any = parameter(
        default="adam",
        kind='{"adam", "adamw", "sgd", "muon"} or optimizer class',
        allowed=[StrOptions({"adam", "adamw", "sgd", "muon"}), type, callable],
        doc="""The optimizer. "muon" is Muon for weights that are matrices, and AdamW with a
        quarter of `lr` for others: it wants a larger `lr`, such as 0.02.""",
    )
    optimizer_params: dict[str, Any] | None = parameter(
        default=None,
        doc="""Arguments for it, such as ``{"weight_decay": 1e-4}``; ``optimizer__<name>`` sets
        one.""",
    )
    lr: float = parameter(
        default=1e-3,
        doc="""Learning rate. `partial_fit` goes on at the one that is set when it is called.""",
    )
    lr_factors: dict[str, float] | None = parameter(
        default=None,
        kind="dict of str to float",
        allowed=[dict, None],
        doc="""By what the learning rate of parts of the module is multiplied, such as
        ``{"head": 10, "*.bias": 2}``. A name is that of a layer with all that is in it, of a
        weight, or a pattern; the first that fits counts. `partial_fit` keeps those of its
        first call.""",
    )
    freeze: Any = parameter(
        default=None,
        kind="str, list of str or None",
        allowed=[str, list, tuple, None],
        doc="""Parts of the module that keep their weights, such as ``"features"``, by names as in
        `lr_factors`. Frozen layers run in eval mode: their normalisations keep their statistics,
        and their dropout drops nothing. The next `partial_fit`, or `fit` with `warm_start`, may
        freeze others.""",
    )
    lr_schedule: Any = parameter(
        default="auto",
        kind='{"auto", "cosine", "onecycle", "triangular", "warmup-stable-decay"}, scheduler class '
        "or None",
        allowed=[None, StrOptions({"auto", *SCHEDULES}), type, callable],
        doc="""How the learning rate changes. "auto" is "cosine" if `max_epochs` is "auto", there
        are 1,000 rows or more and `early_stopping` is off; else None, a constant rate. The named
        schedules step after every batch and span the whole fit ("warmup-stable-decay" rises over
        the first twentieth, and falls to 0 over the last two fifths; "triangular" rises from a
        fifth over the first quarter, and falls to 0 from there on); a scheduler class of torch (or
        a ``functools.partial`` of one) steps after every epoch. With a `sampler` that draws fewer
        rows, a named schedule does not reach its end. In `partial_fit`, where the number of epochs
        is unknown, it leaves the rate at `lr`; a class continues from call to call.""",
    )
    max_epochs: int | str = parameter(
        default="auto",
        doc="""Passes over the rows. "auto" is 50 for up to 20,000 rows, then 1,000,000 divided by
        the number of rows, and at least 10 (from 100,000 rows on).""",
    )
    batch_size: int | str = parameter(
        default="auto",
        doc="""Rows per step; the last batch of an epoch may be smaller, or one row larger. "auto"
        is 64 for up to 25,000 rows, 128 for up to 50,000 and 256 for more, not counting rows of
        weight 0 and held-out rows.""",
    )
    clip_grad_norm: float | None = parameter(
        default=None,
        kind="float or None",
        allowed=[POSITIVE, None],
        doc="Maximum norm of the gradient; larger gradients are scaled down.",
    )
    accumulate_steps: int = parameter(
        default=1,
        doc="Batches per optimizer step, as if they were one large batch.",
    )
    average_weights: float | None = parameter(
        default=None,
        kind="float or None",
        allowed=[Interval(Real, 0, 1, closed="neither"), None],
        doc="""Share of the old in a running average of the weights after each step, such as 0.99.
        The averages are what is evaluated after each epoch, and what predicts.""",
    )
    precision: str = parameter(
        default="float32",
        kind='{"float32", "float64", "bf16", "fp16"}',
        allowed=[StrOptions({"float32", "float64", "bf16", "fp16"})],
        doc="Precision of computations; with bf16 and fp16, weights stay in float32.",
    )
    compile: bool = parameter(
        default=False,
        doc="""Whether to compile the training step (forward, loss, gradients) into one call, which
        pays off in long fits. If it cannot be compiled, a warning says so and training continues
        uncompiled.""",
    )
    device: Any = parameter(
        default="auto",
        kind="str or torch.device",
        allowed=[str, torch.device],
        in_fingerprint=False,
        doc="""Where to compute. "auto" takes CUDA, else MPS, else the CPU: of the GPUs one on which
        no other fit of yours is, else one with memory for one more, else it waits until there is
        one. A device that you name is obeyed.""",
    )


@parameterized
class ReadingParameters:
    """Which rows, when, and who reads them."""

    sampler: Any = parameter(
        default="shuffle",
        kind='{"shuffle", "sequential", "balanced", "weighted"} or callable',
        allowed=[str, callable],
        doc="""Which rows an epoch has, and in which order. Rows drawn by weight or class are not
        weighted again in the loss. A callable is given the Dataset being fitted, with the targets
        passed to `fit`, and returns row indices or a torch ``Sampler``.""",
    )
    shuffle_memory: int | str = parameter(
        default="256MB",
        kind="str or int",
        allowed=[str, POSITIVE_INT],
        doc="Memory for shuffling files.",
    )
    num_workers: int | str = parameter(
        default="auto",
        kind='int or "auto"',
        allowed=[AUTO, Interval(Integral, 0, None, closed="left")],
        in_fingerprint=False,
        doc="Worker processes that read rows; 0 reads them in this process, between steps.",
    )
    worker_timeout: float = parameter(
        default=300,
        in_fingerprint=False,
        doc="Seconds to wait for a worker process.",
    )


@parameterized
class LoadingParameters(ReadingParameters):
    """What is done to rows on the way to the module, and in which pieces they are predicted."""

    augment: Any = parameter(
        default=None,
        kind="callable, sequence of callables or None",
        allowed=[None, callable, PerBatch, list, tuple],
        doc="Random transforms of each row in training; ``per_batch(f)`` transforms whole batches.",
    )
    on_bad_rows: str = parameter(
        default="raise",
        kind='{"raise", "skip"}',
        allowed=[StrOptions({"raise", "skip"})],
        doc="""What `fit` does with rows that are damaged (images that cannot be decoded, row
        groups of Parquet that cannot be read), NaN or infinite. "skip" finds them in an additional
        pass over the data, skips them, warns, and lists them in `pipeline_report_`. Bad targets,
        and bad rows in prediction, always raise an error.""",
    )
    pin_memory: bool | str = parameter(
        default="auto",
        kind='bool or "auto"',
        allowed=[AUTO, "boolean"],
        in_fingerprint=False,
        doc="Whether to copy batches to a GPU from page-locked memory.",
    )
    num_threads: int | str = parameter(
        default="auto",
        in_fingerprint=False,
        doc="""Number of torch threads during `fit`, restored afterwards; "auto" leaves one core
        free for reading unless the rows are in memory.""",
    )
    predict_batch_size: int | str = parameter(
        default="auto",
        doc="""Rows per batch of predictions and validation. With "auto", if memory runs out
        in prediction, the batch is halved; a number is never changed.""",
    )


@parameterized
class ValidationParameters:
    """Which rows are held out, and when the fit stops early."""

    early_stopping: bool = parameter(
        default=False,
        doc="""Whether to stop when `monitor` no longer improves on held-out rows, and restore the
        best weights. Held-out rows stay in memory for the whole fit.""",
    )
    validation_fraction: float = parameter(
        default=0.1,
        kind="float",
        allowed=[Interval(Real, 0, 1, closed="neither")],
        doc="""Share of rows to hold out (for a classifier, of each class); not used if `fit` is
        given `X_val`.""",
    )
    monitor: Any = parameter(
        default="loss",
        kind="str or callable",
        allowed=[str, callable],
        doc="""What is watched on held-out rows: "loss"; the name of a scikit-learn scorer, such as
        "roc_auc" or "r2"; a scorer of ``sklearn.metrics.make_scorer``; or a function
        ``f(y_true, y_pred)`` that returns a number, of which more is better. `history_` has it as
        ``valid_<name>``.""",
    )
    patience: int | str = parameter(
        default=10,
        kind="int",
        allowed=[POSITIVE_INT],
        doc="Epochs without improvement after which to stop.",
    )
    tol: float = parameter(
        default=1e-4,
        kind="float",
        allowed=[Interval(Real, 0, None, closed="left")],
        doc="Minimum change that counts as an improvement.",
    )


@parameterized
class FitParameters:
    """How a fit runs, resumes and reports."""

    isolate: bool = parameter(
        default=False,
        in_fingerprint=False,
        doc="""Whether `fit` trains in a child process, which takes a few seconds to start. If that
        process dies (out of memory, a crash in native code), `fit` raises `ChildProcessError`, and
        a search with ``error_score=np.nan`` continues with the next candidate. Ctrl-C
        ends the process; what it learned is lost, unless it is in `checkpoint_dir`.""",
    )
    n_processes: int | str = parameter(
        default=1,
        kind='int or "auto"',
        allowed=[AUTO, POSITIVE_INT],
        in_fingerprint=False,
        doc="""Processes of this machine that train together, each on its part of every batch:
        `batch_size` is that of all, and the result the same up to rounding, except for what a
        module draws at random or learns from a batch (dropout, BatchNorm). "auto" is one per GPU.
        They also predict together where that pays. In a script that ``torchrun`` started, its
        processes train together, whatever this says. Not used by `partial_fit`.""",
    )
    max_restarts: int = parameter(
        default=3,
        kind="int",
        allowed=[Interval(Integral, 0, None, closed="left")],
        in_fingerprint=False,
        doc="""How often the processes of a fit are started again if one of them dies; the fit goes
        on from the last checkpoint in `checkpoint_dir`, without one from the beginning.""",
    )
    sync_batch_norm: bool = parameter(
        default=False,
        doc="""Whether layers of batch normalisation use, in training, the rows that all processes
        have of a batch; otherwise each uses its own.""",
    )
    checkpoint_dir: Any = parameter(
        default=None,
        kind="path",
        allowed=[str, os.PathLike, None],
        in_fingerprint=False,
        doc="""Folder for checkpoints. Calling `fit` again with the same rows, parameters and
        `random_state` resumes an interrupted fit from its last checkpoint, with the same result
        as without the interruption; a completed fit is loaded instead of repeated. Any number of
        fits, such as those of a search, may share a folder. Needs `random_state`; not used by
        `partial_fit`.""",
    )
    warm_start: bool = parameter(
        default=False,
        in_fingerprint=False,
        doc="Whether `fit` continues from the weights of the last fit.",
    )
    callbacks: list[Any] | None = parameter(
        default=None,
        kind="list of skorch callbacks",
        allowed=[None, list, tuple],
        in_fingerprint=False,
        doc="""Called at every epoch, and at every batch if they have methods for it. Those of
        scikit-learn are passed to `set_callbacks` instead.""",
    )
    random_state: Any = parameter(
        default=None,
        kind="int, RandomState instance or None",
        allowed=["random_state"],
        in_fingerprint=False,
        doc="""Seed of weights, order, dropout and augmentation; the state of the global random
        generators is restored. None draws a seed from NumPy's global generator, as in
        scikit-learn. Fits in several threads of a process take turns between steps.""",
    )
    verbose: int = parameter(
        default=0,
        kind="int",
        allowed=["verbose"],
        in_fingerprint=False,
        doc="""1 shows a progress bar for each fit: rows per second, share of waiting, losses. For
        one bar over a whole search leave this at 0, and call
        ``search.set_callbacks(sklearn.callback.ProgressBar())`` (scikit-learn 1.9).""",
    )
