"""What the tests of persistence share."""

import io
import json
import zipfile
from functools import partial

import numpy as np
import torch
from torch import nn

import sklearnish as sn
from sklearnish.persistence import _archive
from tests.estimators.common import TwoLayers, classification, regression

TWO_LAYERS = "tests.estimators.common.TwoLayers"


def doubled(x):
    """Change a row."""
    return x * 2


class OwnLoss(nn.Module):
    """A user's loss, with a weight that is trained."""

    def __init__(self, power=2.0):
        super().__init__()
        self.power = power
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, outputs, y):
        return ((outputs - y + self.bias).abs() ** self.power).mean()


def names(count=300):
    """Labels as text."""
    X, y = classification(count)
    return X, np.array(["red", "green", "blue"])[y]


def several(count=300):
    """Labels in columns."""
    X, y = classification(count)
    return X, (y[:, None] != np.arange(3)).astype(int)


FAST = {"max_epochs": 2, "batch_size": 64, "random_state": 0}

# name: estimator, data, what must be trusted
CASES = {
    "numbers": (sn.TorchClassifier(**FAST), classification(), ()),
    "text": (sn.TorchClassifier(**FAST), names(), ()),
    "objects": (
        sn.TorchClassifier(**FAST),
        (names()[0], names()[1].astype(object)),
        (),
    ),
    "two": (sn.TorchClassifier(**FAST), classification(classes=2), ()),
    "float64": (sn.TorchClassifier(precision="float64", **FAST), classification(), ()),
    "labels": (sn.TorchClassifier(**FAST), several(), ()),
    "weights": (
        sn.TorchClassifier(class_weight={"red": 2.0, "blue": 0.5}, **FAST),
        names(),
        (),
    ),
    "balanced": (sn.TorchClassifier(class_weight="balanced", **FAST), names(), ()),
    "bf16": (sn.TorchClassifier(precision="bf16", **FAST), classification(), ()),
    "stopping": (
        sn.TorchClassifier(early_stopping=True, monitor="accuracy", **FAST),
        classification(),
        (),
    ),
    "regressor": (sn.TorchRegressor(**FAST), regression(), ()),
    "regressor64": (sn.TorchRegressor(precision="float64", **FAST), regression(), ()),
    "targets": (sn.TorchRegressor(**FAST), regression(targets=3), ()),
    "plain": (sn.TorchRegressor(standardize_target=False, **FAST), regression(), ()),
    "sgd": (
        sn.TorchClassifier(
            optimizer="sgd", optimizer_params={"momentum": 0.9, "nesterov": True}, **FAST
        ),
        classification(),
        (),
    ),
    "options": (
        sn.TorchClassifier(
            module_params={"hidden": (32, 16), "dropout": 0.1},
            criterion=nn.CrossEntropyLoss,
            criterion_params={"label_smoothing": 0.1},
            optimizer=torch.optim.NAdam,
            optimizer_params={"betas": (0.8, 0.99), "weight_decay": np.float32(1e-4)},
            lr=np.float64(0.01),
            clip_grad_norm=1.0,
            accumulate_steps=2,
            random_state=np.random.RandomState(3),
            max_epochs=2,
            batch_size=np.int64(64),
        ),
        classification(),
        (),
    ),
    "steps": (
        sn.TorchClassifier(
            lr_schedule=partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5), **FAST
        ),
        classification(),
        (),
    ),
    "milestones": (
        sn.TorchClassifier(
            lr_schedule=partial(torch.optim.lr_scheduler.MultiStepLR, milestones=[1, 3]), **FAST
        ),
        classification(),
        (),
    ),
    "plateau": (
        sn.TorchClassifier(lr_schedule=torch.optim.lr_scheduler.ReduceLROnPlateau, **FAST),
        classification(),
        (),
    ),
    "cosine": (sn.TorchClassifier(lr_schedule="cosine", **FAST), classification(), ()),
    "onecycle": (sn.TorchClassifier(lr_schedule="onecycle", **FAST), classification(), ()),
    "instance": (
        sn.TorchClassifier(
            nn.Sequential(nn.Linear(10, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)), **FAST
        ),
        classification(),
        (),
    ),
    "loss instance": (
        sn.TorchClassifier(
            criterion=nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0])), **FAST
        ),
        classification(),
        (),
    ),
    "loss function": (
        sn.TorchRegressor(criterion=nn.functional.smooth_l1_loss, **FAST),
        regression(),
        (),
    ),
    "one logit": (
        sn.TorchClassifier(criterion=nn.BCEWithLogitsLoss, **FAST),
        classification(classes=2),
        (),
    ),
    "own module": (
        sn.TorchClassifier(TwoLayers, module_params={"hidden": 16, "dropout": 0.2}, **FAST),
        classification(),
        (TWO_LAYERS,),
    ),
    "own functions": (
        sn.TorchClassifier(augment=[doubled, sn.per_batch(doubled)], **FAST),
        classification(),
        ("tests.persistence.common.doubled",),
    ),
    "own loss": (
        sn.TorchRegressor(criterion=OwnLoss, criterion_params={"power": 1.5}, **FAST),
        regression(),
        ("tests.persistence.common.OwnLoss",),
    ),
}


def rewritten(path, changes, *, sealed=True):
    """Write a saved file anew with some members changed; `sealed` gives it the right hashes."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    for name, change in changes.items():
        members[name] = change(members[name]) if callable(change) else change
    if sealed:
        manifest["sha256"] = _archive._hashes(members)
    members = {"manifest.json": json.dumps(manifest).encode(), **members}
    path.write_bytes(zipped(members))
    return path


def zipped(members, **options):
    """Make a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def edited(change):
    """Make a function of bytes from one that changes parsed JSON in place."""

    def edit(data):
        parsed = json.loads(data)
        change(parsed)
        return json.dumps(parsed).encode()

    return edit
