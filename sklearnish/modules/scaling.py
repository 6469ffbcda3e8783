"""The first step of modules for numbers: rows of any scale become rows of mean 0, deviation 1."""

from typing import Any

import torch
from torch import Tensor, nn


class InputScaling(nn.Module):
    """Base of modules whose first step is to standardise their inputs.

    The scaling is part of the module (its buffers), so that it is saved, moved and cast with the
    weights. Estimators call `set_input_scaling` before they train.

    Parameters
    ----------
    in_features : int
        Number of values in a row.

    Attributes
    ----------
    mean, scale : Tensor of shape (in_features,)
        What is subtracted from the inputs, and by what they are divided then.
    mean_rest : Tensor of shape (in_features,)
        What the dtype of the weights rounds off `mean`; subtracted from inputs in float64.
    wide : Tensor of shape ()
        Whether estimators hand over inputs in float64, since float32 would round them by much.
    """

    casts_inputs = True
    """Inputs come as they were read: what is float64 is centred before it is rounded."""

    mean: Tensor
    scale: Tensor
    mean_rest: Tensor
    wide: Tensor

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(in_features))
        self.register_buffer("scale", torch.ones(in_features))
        self.register_buffer("mean_rest", torch.zeros(in_features))
        self.register_buffer("wide", torch.zeros((), dtype=torch.bool))

    def set_input_scaling(self, mean: Tensor, scale: Tensor, *, wide: bool = False) -> None:
        """Take over the statistics of the training rows.

        Parameters
        ----------
        mean : Tensor of shape (in_features,)
            Mean of each input.
        scale : Tensor of shape (in_features,)
            Standard deviation of each input, 1 where it is constant.
        wide : bool, default=False
            Whether inputs will come in float64, to be centred before they are rounded.
        """
        mean = mean.reshape(-1)
        self.mean.copy_(mean)
        self.scale.copy_(scale.reshape(-1))
        self.mean_rest.copy_(mean.double() - self.mean.double().to(mean.device))
        self.wide.fill_(wide)

    def standardize(self, X: Tensor) -> Tensor:
        """Flatten rows, centre and scale them.

        Parameters
        ----------
        X : Tensor of shape (n, in_features) or (n, ...)
            Rows.

        Returns
        -------
        Tensor of shape (n, in_features)
            In the dtype of the weights.
        """
        if X.ndim > 2:
            X = X.flatten(1)
        if X.dtype == torch.float64 != self.mean.dtype:
            centred = (X - self.mean.double() - self.mean_rest.double()).to(self.mean.dtype)
        else:
            centred = X.to(self.mean.dtype) - self.mean
        return centred / self.scale

    def restore(self, Z: Tensor) -> Tensor:
        """Undo `standardize`, but for the shape of rows.

        Parameters
        ----------
        Z : Tensor of shape (n, in_features)
            Standardised rows.

        Returns
        -------
        Tensor of shape (n, in_features)
            Rows in the units of the inputs; in float64 where these are `wide`.
        """
        if self.wide:
            return Z.double() * self.scale + self.mean.double() + self.mean_rest
        return Z * self.scale + self.mean

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Take weights, also those that were saved before there were all of the buffers."""
        for name in ("mean_rest", "wide"):
            state_dict.setdefault(f"{prefix}{name}", torch.zeros_like(getattr(self, name)))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
