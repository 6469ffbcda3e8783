"""Sphinx settings."""

import inspect
import os
import re
import tempfile
from importlib.metadata import version as installed_version

from sklearn.base import BaseEstimator
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - an example names it

project = "sklearnish"
author = "The sklearnish developers"
copyright = "2026, The sklearnish developers"
version = release = installed_version("sklearnish")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "sg_execution_times.rst", "**/sg_execution_times.rst"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
toc_object_entries_show_parents = "hide"  # else the names in the right column are cut off
autodoc_typehints = "none"  # numpydoc says the types, with shapes
numpydoc_show_class_members = False  # the autosummary template lists them
numpydoc_validation_checks = set()  # tests/test_docstrings.py validates

html_theme = "pydata_sphinx_theme"
html_title = f"sklearnish {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = {"index": []}  # without pages beside it, the left column would be empty
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

# The lessons of the tutorial and the examples are scripts. Those in NOT_RUN are shown and not run:
# one writes 640 MB, the other needs a package that the documentation does not.
NOT_RUN = ("quickstart", "track_with_mlflow")
sphinx_gallery_conf = {
    "examples_dirs": ["../tutorial", "../examples"],
    "gallery_dirs": ["tutorial", "gallery"],
    "filename_pattern": rf"/(?!({'|'.join(NOT_RUN)})\.py)\w+\.py$",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklearnish",),
    "ignore_repr_types": r"matplotlib|Display",  # the picture is enough
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 3600,
    "download_all_examples": False,
    "remove_config_comments": True,
    "image_srcset": ["2x"],
    "thumbnail_size": (400, 280),
}
os.environ.setdefault("SKLEARNISH_CACHE", tempfile.mkdtemp(prefix="sklearnish-docs-"))


def skip_foreign(app, what, name, obj, skip, options):
    """Leave out what is inherited from scikit-learn: its own pages describe it."""
    obj = obj.fget if isinstance(obj, property) else obj
    module = getattr(obj, "__module__", None) or "sklearnish"
    return skip or not module.startswith("sklearnish")


def group_parameters(app, what, name, obj, options, lines):
    """Put headings into the list of an estimator's parameters: what its groups are said to be.

    numpydoc has written the list; each parameter begins with a line `    **name** : type`.
    """
    declared = getattr(obj, "_parameters", None) if what == "class" else None
    if not declared or ":Parameters:" not in lines:
        return
    start = lines.index(":Parameters:") + 2
    end = next((i for i in range(start, len(lines)) if lines[i][:1].strip()), len(lines))
    groups: dict[str, list[str]] = {}
    for line in lines[start:end]:
        if found := re.match(r"    \*\*(\w+)\*\* : ", line):
            title = _title_of_group(obj, found[1])
        groups.setdefault(title, []).append(line)
    headed = [[f"    .. rubric:: {title}", "", *entries, ""] for title, entries in groups.items()]
    lines[start:end] = [line for entries in headed for line in entries]


def _title_of_group(cls, name):
    """Return the first sentence of the group that declares a parameter."""
    declaring = [base for base in cls.__mro__ if name in vars(base).get("_parameters", {})][-1]
    if issubclass(declaring, BaseEstimator):
        return "Of this estimator"
    return inspect.getdoc(declaring).partition("\n")[0].rstrip(".")


def setup(app):
    """Register the hooks."""
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("autodoc-process-docstring", group_parameters, priority=900)
