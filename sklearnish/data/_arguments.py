"""What users pass to the batches of a Dataset, checked before anything is read."""

import secrets
from typing import Any

import numpy as np
import torch


def check_epochs(epochs: Any) -> None:
    """Refuse what is not a number of epochs.

    Raises
    ------
    ValueError
        If it is not a whole number of at least 1.
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer) or epochs < 1:
        raise ValueError(f"epochs must be an integer of at least 1, got {epochs!r}.")


def seed_of(random_state: Any) -> int:
    """Return the seed that was given, or a new one for None.

    Raises
    ------
    ValueError
        If it is neither None nor a whole number of at least 0.
    """
    if random_state is None:
        return secrets.randbits(31)
    if not isinstance(random_state, int | np.integer) or random_state < 0:
        raise ValueError(
            f"random_state must be an integer of at least 0, or None to draw one, got "
            f"{random_state!r}."
        )
    return int(random_state)


def find_device(device: Any) -> torch.device:
    """Turn the name of a device into one that tensors can be put on.

    Raises
    ------
    ValueError
        If torch knows none of that name, or finds it not on this machine.
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (AssertionError, ImportError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"device={device!r} is not a device of this machine; use 'cpu', or 'cuda', "
            "'cuda:<number>' or 'mps' where there is one."
        ) from error
    return found
