import matplotlib as mpl
import pytest

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close():
    from matplotlib import pyplot as plt

    yield
    plt.close("all")
