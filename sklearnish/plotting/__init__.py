"""Images of what was fitted, as scikit-learn's Display classes draw them."""

from sklearnish.plotting._batch import BatchDisplay
from sklearnish.plotting._history import HistoryDisplay
from sklearnish.plotting._pipeline_report import PipelineReportDisplay
from sklearnish.plotting._search import SearchDisplay

__all__ = ["BatchDisplay", "HistoryDisplay", "PipelineReportDisplay", "SearchDisplay"]
