"""The parameters of the estimators with scikit-learn's names, and their texts."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from sklearnish.estimators._constructor import POSITIVE_INT, parameter, parameterized

_SHARE = Interval(Real, 0, 1, closed="left")
_NOT_NEGATIVE = Interval(Real, 0, None, closed="left")


@parameterized
class MLPParameters:
    """Network, solver and stopping rule, as in ``sklearn.neural_network``."""

    hidden_layer_sizes: Any = parameter(
        default=(100,),
        kind="int or sequence of int",
        allowed=["array-like", POSITIVE_INT],
        kw_only=False,
        after="loss",
        doc="Widths of the hidden layers.",
    )
    activation: str = parameter(
        default="relu",
        kind='{"identity", "logistic", "tanh", "relu"}',
        allowed=[StrOptions({"identity", "logistic", "tanh", "relu"})],
        kw_only=False,
        after="hidden_layer_sizes",
        doc="What follows each hidden layer.",
    )
    solver: str = parameter(
        default="adam",
        kind='{"adam", "sgd", "lbfgs"}',
        allowed=[StrOptions({"adam", "sgd", "lbfgs"})],
        after="activation",
        doc="""How weights are found. "lbfgs" computes over all rows at once, which must be in
        memory; it suits small data, and has neither epochs nor `partial_fit`.""",
    )
    alpha: float = parameter(
        default=1e-4,
        kind="float",
        allowed=[_NOT_NEGATIVE],
        after="solver",
        doc="""Strength of the L2 penalty of the weights, biases apart: half of it, times their
        squared sum, divided by the rows of a batch, is added to the loss.""",
    )
    batch_size: int | str = parameter(
        default="auto",
        after="alpha",
        doc="""Rows per step; the last batch of an epoch may be smaller. "auto" is 200, or all
        rows if there are fewer.""",
    )
    learning_rate: str = parameter(
        default="constant",
        kind='{"constant", "invscaling", "adaptive"}',
        allowed=[StrOptions({"constant", "invscaling", "adaptive"})],
        after="batch_size",
        doc="""How the learning rate of "sgd" changes. "invscaling" divides it after each epoch by
        ``(t_ + 1) ** power_t``; "adaptive" divides it by 5 where training would stop, down to
        1e-6.""",
    )
    learning_rate_init: float = parameter(
        default=1e-3, after="learning_rate", doc='Learning rate of "adam" and "sgd" to begin with.'
    )
    power_t: float = parameter(
        default=0.5,
        kind="float",
        allowed=[_NOT_NEGATIVE],
        after="learning_rate_init",
        doc='Exponent of "invscaling".',
    )
    max_iter: int = parameter(
        default=200, after="power_t", doc='Most passes over the rows, or iterations of "lbfgs".'
    )
    shuffle: bool = parameter(
        default=True, after="max_iter", doc="Whether the rows of each epoch come in another order."
    )
    tol: float = parameter(
        default=1e-4,
        kind="float",
        allowed=[_NOT_NEGATIVE],
        after="shuffle",
        doc="""Least improvement of the training loss, or with `early_stopping` of the validation
        score, that counts; for "lbfgs", largest gradient at which to stop.""",
    )
    verbose: int = parameter(
        default=False,
        kind="bool",
        allowed=["verbose"],
        after="tol",
        doc="Whether to print the loss of each epoch.",
    )
    momentum: float = parameter(
        default=0.9,
        kind="float",
        allowed=[Interval(Real, 0, 1, closed="both")],
        after="verbose",
        doc='Momentum of "sgd".',
    )
    nesterovs_momentum: bool = parameter(
        default=True, after="momentum", doc='Whether the momentum of "sgd" is Nesterov\'s.'
    )
    early_stopping: bool = parameter(
        default=False,
        after="nesterovs_momentum",
        doc="""Whether to hold rows out, stop when the score on them no longer improves, or when the
        loss becomes NaN, and restore the best weights. "lbfgs" does not.""",
    )
    beta_1: float = parameter(
        default=0.9,
        kind="float",
        allowed=[_SHARE],
        after="early_stopping",
        doc='Share of the old in the mean of the gradients of "adam".',
    )
    beta_2: float = parameter(
        default=0.999,
        kind="float",
        allowed=[_SHARE],
        after="beta_1",
        doc="The same for the mean of their squares.",
    )
    epsilon: float = parameter(default=1e-8, after="beta_2", doc='Added to a divisor of "adam".')
    n_iter_no_change: float = parameter(
        default=10,
        kind="int or inf",
        allowed=[Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        after="epsilon",
        doc="Epochs without improvement, one after the other, that are not yet too many.",
    )
    max_fun: int = parameter(
        default=15_000,
        after="n_iter_no_change",
        doc='Most computations of loss and gradients in "lbfgs".',
    )
