"""Images of what was fitted, as scikit-learn's Display classes draw them."""

from sklearnish.plotting._pipeline_report import PipelineReportDisplay

__all__ = ["PipelineReportDisplay"]
