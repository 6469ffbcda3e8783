import pandas as pd

from sklearnish.data._html import as_html


def test_names_and_values_are_text():
    frame = pd.DataFrame({"<b>": ["<i>x</i>"]}, index=["<u>"])
    html = as_html("<script>&", frame)
    assert "<p>&lt;script&gt;&amp;</p>" in html
    for tag in ("<b>", "<i>", "<u>", "<script>"):
        assert tag not in html
    assert "&lt;i&gt;x&lt;/i&gt;" in html


def test_parts_are_below_each_other():
    html = as_html("one\ntwo", pd.DataFrame({"a": [1]}), "three")
    assert html.index("<p>one<br>two</p>") < html.index('class="dataframe"') < html.index("three")
    assert html.startswith("<div>")
    assert html.endswith("</div>")
