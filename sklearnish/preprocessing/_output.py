"""What a transformer gives of rows in memory: an array, or a frame of a library."""

from typing import Any, Self

import numpy.typing as npt
from sklearn import get_config

from sklearnish.preprocessing._encoding.frames import frame_like


class FrameOutputMixin:
    """`set_output` for transformers that give a Dataset of a Dataset, and a matrix of other rows.

    That of scikit-learn would make a frame of a Dataset, too, and so read it whole.
    """

    _sklearn_output_config: dict[str, str]

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose what `transform` returns of rows in memory.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default=None
            A frame of that library, or what is returned by default. None changes nothing.

        Returns
        -------
        self
            This transformer.

        Raises
        ------
        ValueError
            If it is something else.
        """
        if transform not in (None, "default", "pandas", "polars"):
            raise ValueError(f"transform={transform!r} must be 'default', 'pandas' or 'polars'.")
        if transform is not None:
            self._sklearn_output_config = {"transform": transform}
        return self

    def _wanted_output(self) -> str:
        """Return what was asked for here, or of scikit-learn as a whole."""
        asked = vars(self).get("_sklearn_output_config", {}).get("transform")
        wanted: str = asked or get_config()["transform_output"]
        return wanted

    def _in_output(self: Any, X: Any, matrix: npt.NDArray[Any]) -> Any:
        """Make an array a frame, if one is wanted."""
        wanted = self._wanted_output()
        if wanted == "default":
            return matrix
        return frame_like(X, matrix, self.get_feature_names_out().tolist(), wanted)
