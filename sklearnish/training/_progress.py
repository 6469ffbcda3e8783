"""The progress bar of a fit."""

from typing import Any


class Progress:
    """A bar over epochs with the losses and rows per second; silent unless asked for."""

    def __init__(self, epochs: int, rows: int, verbose: int) -> None:
        self.rows = rows
        self._bar: Any = None
        if verbose:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=epochs, desc="fit", unit="epoch")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def epoch(self, record: dict[str, Any]) -> None:
        """Show what an epoch gave."""
        if self._bar is None:
            return
        shown = {k: f"{v:.4g}" for k, v in record.items() if k.endswith("_loss")}
        rate = self.rows / max(record["dur"], 1e-9)
        self._bar.set_postfix({**shown, "rows/s": f"{rate:,.0f}"}, refresh=False)
        self._bar.update()
