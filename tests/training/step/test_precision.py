"""The numbers in which a module computes, and those of its weights, losses and predictions."""

import numpy as np
import pytest
import torch
from torch import nn

from sklearnish import TorchClassifier
from sklearnish.training import weight_dtype
from sklearnish.training._step.precision import as_taken, autocast
from tests.estimators.common import TwoLayers, classification

CPU = torch.device("cpu")
WEIGHTS = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bf16": torch.float32,
    "fp16": torch.float32,
}
COMPUTED = WEIGHTS | {"bf16": torch.bfloat16, "fp16": torch.float16}


@pytest.mark.parametrize("precision", WEIGHTS)
def test_half_precisions_are_for_arithmetic_alone(precision):
    module = nn.Linear(4, 2).to(weight_dtype(precision))
    with autocast(precision, CPU):
        outputs = module(torch.ones(3, 4, dtype=module.weight.dtype))
    assert module.weight.dtype == WEIGHTS[precision]
    assert outputs.dtype == COMPUTED[precision]
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("precision", WEIGHTS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
def test_images_and_float64_become_what_the_weights_are(precision, dtype):
    X = torch.tensor([[0, 255]], dtype=dtype)
    found = as_taken(X, precision)
    assert found.dtype == WEIGHTS[precision]
    assert found.tolist() == [[0, 255]]


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.float32, torch.bool])
def test_rows_of_other_types_are_left_to_the_module(dtype):
    X = torch.ones(2, 3, dtype=dtype)  # whole numbers may be what an embedding looks up
    assert as_taken(X, "float64") is X


def test_a_changed_precision():
    X, y = classification()
    clf = TorchClassifier(TwoLayers, max_epochs=1, warm_start=True).fit(X, y)
    clf.set_params(precision="float64").fit(X, y)
    assert clf.predict_proba(X).dtype == np.float64
    assert clf.history_[-1]["epoch"] == 2
    clf.set_params(precision="float32").partial_fit(X, y)
    assert clf.predict_proba(X).dtype == np.float64
    assert clf.n_iter_ == 3


def test_a_losss_own_weights_have_the_precision_of_the_module():
    X, y = classification()
    clf = TorchClassifier(max_epochs=1, precision="float64", criterion=nn.CrossEntropyLoss)
    clf.set_params(criterion__weight=torch.tensor([1.0, 2.0, 3.0])).fit(X, y)
    assert clf.net_.criterion_.weight.dtype == torch.float64
