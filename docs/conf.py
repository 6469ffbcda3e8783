"""Sphinx settings."""

from importlib.metadata import version as installed_version

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
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc says the types, with shapes
numpydoc_show_class_members = False  # the autosummary template lists them
numpydoc_validation_checks = set()  # tests/test_docstrings.py validates

html_theme = "pydata_sphinx_theme"
html_title = f"sklearnish {version}"
html_theme_options = {"show_prev_next": False, "navigation_with_keys": False}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def skip_foreign(app, what, name, obj, skip, options):
    """Leave out what is inherited from scikit-learn: its own pages describe it."""
    obj = obj.fget if isinstance(obj, property) else obj
    module = getattr(obj, "__module__", None) or "sklearnish"
    return skip or not module.startswith("sklearnish")


def setup(app):
    """Register the hook."""
    app.connect("autodoc-skip-member", skip_foreign)
