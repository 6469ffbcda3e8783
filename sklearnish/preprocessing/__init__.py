"""Columns to numbers, and scikit-learn's transformers, over rows in memory or in files."""

from sklearnish.preprocessing._encoding.category import CategoryColumn as CategoryColumn
from sklearnish.preprocessing._encoding.date import CYCLES as CYCLES
from sklearnish.preprocessing._encoding.date import DateColumn as DateColumn
from sklearnish.preprocessing._encoding.frames import with_names as with_names
from sklearnish.preprocessing._encoding.lists import ListColumn as ListColumn
from sklearnish.preprocessing._encoding.number import NumberColumn as NumberColumn
from sklearnish.preprocessing._encoding.outputs import TableLayout
from sklearnish.preprocessing._encoding.tallies import Column as Column
from sklearnish.preprocessing._encoding.text import TextColumn as TextColumn
from sklearnish.preprocessing._output import FrameOutputMixin as FrameOutputMixin
from sklearnish.preprocessing._statistics import input_moments as input_moments
from sklearnish.preprocessing._statistics import moments as moments
from sklearnish.preprocessing._streamed import Streamed
from sklearnish.preprocessing._table_encoder import TableEncoder

__all__ = ["Streamed", "TableEncoder", "TableLayout"]
