"""A net whose state can be had, put back, copied and pickled."""

import copy
import io
from typing import Any, Self

import torch
from skorch import NeuralNet

from sklearnish.data import is_available
from sklearnish.training._checkpoints import state as states
from sklearnish.training._checkpoints.tree_file import Tree
from sklearnish.training._epochs.losses import EpochLoss
from sklearnish.training._epochs.stopping import EarlyStopping
from sklearnish.training._step.descent import Descent
from sklearnish.training._step.step import Step
from sklearnish.training._team import Team

_OF_EPOCHS = frozenset({"losses_", "begun_", "kept_", "team_"})
_ON_DEVICE = ("module", "criterion", "module_", "criterion_", "optimizer_", "descent_", "step_")


class StatefulNet(NeuralNet):
    """What is in a net while it is trained, as a tree; copies of it."""

    best_epoch_: int
    descent_: Descent
    step_: Step
    losses_: EpochLoss
    begun_: EpochLoss | None  # of an epoch that goes on from a checkpoint
    kept_: Tree | None  # the state after the last complete epoch
    team_: Team

    def __setattr__(self, name: str, value: Any) -> None:
        """Set what each epoch sets past skorch, which looks for parts of a net in every value."""
        if name in _OF_EPOCHS:
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    # The state of a fit

    def state_dict(self, stopping: EarlyStopping | None = None, batches: int = 0) -> Tree:
        """Collect all that the rest of a fit depends on, after so many batches of an epoch."""
        history = self.history[:-1] if batches else list(self.history)
        if batches:
            self.losses_.check(self.descent_.lr)  # weights that became NaN are not worth keeping
        return {
            "history": [{k: v for k, v in epoch.items() if k != "batches"} for epoch in history],
            **self._learned(),
            "losses": self.losses_.state_dict() if batches else None,
            "stopping": None if stopping is None else stopping.state_dict(),
            "generators": states.generators(torch.device(self.device)),
            "best_epoch": self.best_epoch_,
        }

    def load_state_dict(self, tree: Tree, stopping: EarlyStopping | None = None) -> None:
        """Go on from such a state, the stopping rule and the generators included."""
        device = torch.device(self.device)
        self.history[:] = [{"batches": [], **epoch} for epoch in tree["history"]]
        self._put_back(tree)
        self.best_epoch_ = tree["best_epoch"]
        if tree["losses"] is not None:
            self.begun_ = EpochLoss("training", len(self.history) + 1)
            self.begun_.load_state_dict(tree["losses"], device)
        if stopping is not None:
            stopping.load_state_dict(tree["stopping"], device)
        states.set_generators(tree["generators"], device)

    def _keep(self) -> None:
        """Copy what was learned, for the case that the next epoch is not completed."""
        self.kept_ = {**states.copied(self._learned()), "epochs": len(self.history)}

    def go_back(self) -> bool:
        """Return to the last complete epoch; False if this fit has none yet."""
        kept, self.kept_ = self.kept_, None
        if kept is not None:
            del self.history[kept["epochs"] :]
            self._put_back(kept)
            self.best_epoch_ = len(self.history)
            self._set_training(False)
        return kept is not None

    def leave(self) -> None:
        """Forget what only a fit needs that is running."""
        self.kept_ = None
        self.team_.end(self)
        self.team_ = Team()

    def _learned(self) -> Tree:
        """Collect what steps change, as it is: the next step changes it."""
        return {
            "module": self.module_.state_dict(),
            "criterion": self.criterion_.state_dict(),
            "descent": self.descent_.state_dict(),
            "compiled": None if self.compiled_ is None else self.compiled_.state_dict(),
        }

    def _put_back(self, tree: Tree) -> None:
        """Bring back what steps changed."""
        self.module_.load_state_dict(tree["module"])
        self.criterion_.load_state_dict(tree["criterion"])
        self.descent_.load_state_dict(self.lr_schedule, tree["descent"])
        if self.compiled_ is not None:
            self.compiled_.load_state_dict(tree["compiled"])

    # Copies

    def twin(self) -> Self:
        """Copy the net and what training changes in it; options and callbacks are shared."""
        made = object.__new__(type(self))
        made.__dict__.update(vars(self))
        made.module_, made.criterion_ = states.copied_modules(self.module_, self.criterion_)
        made.module, made.criterion = made.module_, made.criterion_
        made.history = copy.copy(self.history)
        made.initialize_optimizer()
        made.descent_.load_state_dict(self.lr_schedule, states.copied(self.descent_.state_dict()))
        made.compiled_ = self.compiled_  # graphs are given the weights with each call
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Move what is on another device to the CPU, where it can be loaded anywhere."""
        state = self.__dict__.copy()
        if torch.device(self.device).type != "cpu":
            parts = {name: state[name] for name in _ON_DEVICE if name in state}
            buffer = io.BytesIO()
            torch.save(parts, buffer)
            buffer.seek(0)
            state |= torch.load(buffer, map_location="cpu", weights_only=False)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go back to the device, if there is one here."""
        self.__dict__.update(state)
        device = torch.device(self.device)
        self.__dict__["device"] = device if is_available(device) else torch.device("cpu")
        if "step_" in state:
            self.step_.device = torch.device(self.device)
        if torch.device(self.device).type != "cpu" and "module_" in state:
            self.module_.to(self.device)
            self.criterion_.to(self.device)
            self.optimizer_.load_state_dict(self.optimizer_.state_dict())
