"""Run benchmarks and, with ``--write``, put their tables into docs/benchmark_tables.md."""

import argparse
import importlib
import sys
import warnings
from pathlib import Path

from tests.benchmarks._machine import describe_run
from tests.benchmarks._page import render, replace_section

NAMES = (
    "import_time",
    "checks",
    "c1_arrays",
    "c2_frames",
    "c3_npy",
    "c4_parquet",
    "c5_csv",
    "c6_images",
    "c7_shuffle",
    "c8_turnaround",
    "c9_auto",
    "c10_predict",
    "c11_memory",
    "c12_search",
    "c13_one_row",
    "c14_remote",
    "c15_stacked",
    "p1_processes",
    "s1_mlp",
    "t1_table",
    "scaling",
    "g1_resident",
    "g2_streamed",
    "g3_parquet",
    "g4_images",
)
PAGE = Path(__file__).parents[2] / "docs" / "benchmark_tables.md"


def main(argv: list[str]) -> None:
    arguments = _parse(argv)
    size = "quick" if arguments.quick else "full" if arguments.full else "default"
    write = arguments.write and size != "quick"  # which only shows that they run
    # The peers warn (a search that has not converged, say), and it is not they who are tested.
    warnings.simplefilter("ignore")
    command = " ".join(["python -m tests.benchmarks", *argv])
    for name in arguments.names or NAMES:
        result = importlib.import_module(f"tests.benchmarks.{name}").run(size)
        section = render(result, describe_run(command))
        print(f"\n## {name}\n\n{section}", flush=True)
        if write:
            PAGE.write_text(replace_section(PAGE.read_text(), name, section))


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], help="which; all by default")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="tiny: does it run at all?")
    sizes.add_argument("--full", action="store_true", help="the sizes of the table's title")
    parser.add_argument(
        "--write", action="store_true", help=f"rewrite {PAGE.name}; not with --quick"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    main(sys.argv[1:])
