"""Training: the one place that knows skorch."""

from sklearnish.training._callbacks import check_callbacks
from sklearnish.training._checkpoints.checkpoints import Checkpoints
from sklearnish.training._checkpoints.state import copied_modules
from sklearnish.training._checkpoints.tree_file import Packer, Unpacker
from sklearnish.training._checks import (
    check_probabilities,
    check_shape,
    dry_run,
    warn_of_final_activation,
)
from sklearnish.training._epochs.stopping import Convergence, EarlyStopping
from sklearnish.training._module_function import ModuleFunction
from sklearnish.training._net import ClassifierNet, Net
from sklearnish.training._process_state import seeded, thread_count
from sklearnish.training._reconstruction import ReconstructionNet
from sklearnish.training._step.classic import EpsilonFirstAdam, VelocitySGD
from sklearnish.training._step.loss import FunctionLoss, check_arguments, make_criterion, spell
from sklearnish.training._step.muon import Muon
from sklearnish.training._step.optimizers import OPTIMIZERS
from sklearnish.training._step.out_of_memory import is_out_of_memory, of_same_kind
from sklearnish.training._step.parts import check_parts
from sklearnish.training._step.precision import weight_dtype
from sklearnish.training._synchronised import synchronised
from sklearnish.training._team import Team
from sklearnish.training._world import (
    ALONE,
    LostRankError,
    World,
    device_of_rank,
    joined,
    launched,
    quiet,
)

__all__ = [
    "ALONE",
    "OPTIMIZERS",
    "Checkpoints",
    "ClassifierNet",
    "Convergence",
    "EarlyStopping",
    "EpsilonFirstAdam",
    "FunctionLoss",
    "LostRankError",
    "ModuleFunction",
    "Muon",
    "Net",
    "Packer",
    "ReconstructionNet",
    "Team",
    "Unpacker",
    "VelocitySGD",
    "World",
    "check_arguments",
    "check_callbacks",
    "check_parts",
    "check_probabilities",
    "check_shape",
    "copied_modules",
    "device_of_rank",
    "dry_run",
    "is_out_of_memory",
    "joined",
    "launched",
    "make_criterion",
    "of_same_kind",
    "quiet",
    "seeded",
    "spell",
    "synchronised",
    "thread_count",
    "warn_of_final_activation",
    "weight_dtype",
]
