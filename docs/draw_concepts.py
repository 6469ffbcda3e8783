"""Draw the pictures of the page of concepts: ``python docs/draw_concepts.py FOLDER``.

Each is an SVG of 360 units, so that its text is readable on a phone. Colours are mid-tones, which
stand out from a light page and from a dark one.
"""

import sys
from pathlib import Path

import numpy as np

INK, BLUE, ORANGE, GREEN, PURPLE = "#768090", "#3f7fbf", "#c46a1f", "#3f8f5f", "#8a62b0"
BLOCKS = (BLUE, ORANGE, GREEN, PURPLE)
CELL = 22


def text(x, y, words, *, anchor="middle", fill=INK, size=12):
    place = f'x="{x}" y="{y}" text-anchor="{anchor}"'
    return f'<text {place} fill="{fill}" font-size="{size}">{words}</text>'


def box(x, y, width, height, words="", *, fill=BLUE, size=12):
    rect = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="{fill}"/>'
    label = text(x + width / 2, y + height / 2 + 4, words, fill="#fff", size=size)
    return rect + label if words else rect


def cells(x, y, fills, numbers=(), *, gaps=()):
    """Draw rows of data side by side; before some of them, leave a gap."""
    drawn = []
    for i, fill in enumerate(fills):
        x += 10 if i in gaps else 0
        label = str(numbers[i]) if len(numbers) else ""
        drawn.append(box(x, y, CELL - 2, CELL - 2, label, fill=fill, size=11))
        x += CELL
    return "".join(drawn)


def arrow(x, y, to_x, to_y):
    line = f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="{INK}" stroke-width="1.5"'
    return f'{line} marker-end="url(#tip)"/>'


def curve(points, *, stroke=INK, dashed=False):
    joined = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
    dashes = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<polyline points="{joined}" fill="none" stroke="{stroke}" stroke-width="2"{dashes}/>'


def dots(points, fill):
    return "".join(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4" fill="{fill}"/>' for x, y in points)


def batch():
    fills = [BLUE] * 4 + [ORANGE] * 4 + [GREEN] * 4
    names = [text(x, 62, f"batch {i}") for i, x in enumerate((69, 167, 265), 1)]
    return 80, [
        text(10, 14, "12 rows", anchor="start"),
        cells(25, 24, fills, range(12), gaps=(4, 8)),
        *names,
    ]


def step():
    words = ("batch", "outputs", "loss", "gradients")
    places = range(5, 300, 92)
    chain = [box(x, 14, 74, 28, word) for x, word in zip(places, words, strict=True)]
    arrows = [arrow(x + 75, 28, x + 89, 28) for x in places[:-1]]
    change = [arrow(318, 44, 318, 70), box(245, 72, 110, 28, "new weights", fill=ORANGE)]
    back = [
        arrow(243, 86, 135, 86),
        arrow(134, 86, 134, 45),
        text(126, 90, "next batch", anchor="end"),
    ]
    return 110, [*chain, *arrows, *change, *back]


def height(x):
    """Tell how high a valley is, so far from its middle."""
    return 102 - 84 * (x / 46) ** 2


def lr():
    drawn = []
    cases = (
        ("too small", 60, (-42, -38, -34, -31)),
        ("right", 180, (-42, -24, -10, -2)),
        ("too large", 300, (-18, 26, -34, 44)),
    )
    for name, middle, xs in cases:
        points = [(middle + x, height(x)) for x in xs]
        drawn += [curve([(middle + x, height(x)) for x in range(-46, 47, 2)])]
        drawn += [curve(points, stroke=ORANGE), dots(points, ORANGE), text(middle, 124, name)]
    return 132, drawn


def epoch():
    rng = np.random.default_rng(3)
    drawn = []
    for i in range(3):
        order, y = rng.permutation(12), 8 + 30 * i
        fills = [BLOCKS[row // 3] for row in order]
        drawn += [
            text(5, y + 14, f"epoch {i + 1}", anchor="start"),
            cells(62, y, fills, order, gaps=(4, 8)),
        ]
    return 100, drawn


def shuffle():
    stored = [fill for fill in BLOCKS for _ in range(3)]
    rng = np.random.default_rng(1)
    picked, rest = rng.permutation([0, 1, 2, 6, 7, 8]), rng.permutation([3, 4, 5, 9, 10, 11])
    order = [*picked, *rest]
    return 128, [
        text(5, 14, "blocks of a file", anchor="start"),
        cells(30, 22, stored, range(12), gaps=(3, 6, 9)),
        arrow(68, 44, 95, 84),
        arrow(215, 44, 125, 84),
        arrow(141, 44, 225, 84),
        arrow(290, 44, 265, 84),
        cells(30, 88, [BLOCKS[row // 3] for row in order], order, gaps=(6,)),
        text(96, 124, "window 1"),
        text(238, 124, "window 2"),
    ]


def sampler():
    few = [BLUE] * 9 + [ORANGE] * 3
    rows = (
        ('"sequential"', range(12)),
        ('"shuffle"', (4, 9, 0, 7, 11, 2, 6, 1, 10, 3, 8, 5)),
        ('"balanced"', (9, 3, 11, 10, 0, 9, 7, 10, 5, 11, 2, 8)),
    )
    drawn = []
    for i, (name, order) in enumerate(rows):
        y = 8 + 30 * i
        drawn += [text(5, y + 14, name.replace('"', "&quot;"), anchor="start")]
        drawn += [cells(90, y, [few[row] for row in order], list(order))]
    return 100, drawn


def transform():
    return 120, [
        box(5, 44, 56, 30, "rows", fill=INK),
        arrow(62, 59, 80, 59),
        box(83, 44, 70, 30, "ds.map"),
        arrow(154, 50, 184, 32),
        arrow(154, 68, 184, 88),
        box(187, 12, 76, 30, "augment", fill=ORANGE),
        arrow(264, 27, 288, 27),
        box(291, 12, 64, 30, "fit", fill=GREEN),
        box(187, 76, 168, 30, "predict, score", fill=GREEN),
    ]


def line(y, name, parts):
    """Draw what somebody does over time: (start, length, words, colour)."""
    drawn = [text(5, y + 15, name, anchor="start")]
    return drawn + [
        box(85 + start, y, length - 2, 22, words, fill=fill, size=11)
        for start, length, words, fill in parts
    ]


def worker():
    reads = [(60 * i, 60, f"read {2 * i + 1}", ORANGE) for i in range(4)]
    others = [(60 * i, 60, f"read {2 * i + 2}", ORANGE) for i in range(4)]
    steps = [(60 + 30 * i, 30, f"{i + 1}", BLUE) for i in range(7)]
    return 104, [
        *line(6, "worker 1", reads),
        *line(36, "worker 2", others),
        *line(66, "training", steps),
        arrow(85, 96, 350, 96),
    ]


def prefetch():
    alone = [(45 * i, 45, ("read", "step")[i % 2], (ORANGE, BLUE)[i % 2]) for i in range(6)]
    reads = [(45 * i, 45, "read", ORANGE) for i in range(4)]
    steps = [(45 * i, 45, "step", BLUE) for i in range(1, 5)]
    return 124, [
        *line(6, "one by one", alone),
        *line(52, "a thread", reads),
        *line(78, "training", steps),
        arrow(85, 114, 350, 114),
    ]


def pinned():
    copies = [(14 + 54 * i, 40, "copy", ORANGE) for i in range(4)]
    steps = [(54 + 54 * i, 52, "step", BLUE) for i in range(4)]
    return 124, [
        box(5, 8, 100, 28, "any memory", fill=INK),
        arrow(106, 22, 126, 22),
        box(129, 8, 112, 28, "pinned memory", fill=GREEN),
        arrow(242, 22, 272, 22),
        box(275, 8, 80, 28, "GPU"),
        *line(54, "to the GPU", copies),
        *line(82, "GPU", steps),
        arrow(85, 114, 350, 114),
    ]


def seed():
    words = ("first weights", "order of rows", "dropout", "augmentation", "held-out rows")
    drawn = [box(5, 62, 110, 30, "random_state", fill=ORANGE)]
    for i, word in enumerate(words):
        y = 8 + 29 * i
        drawn += [arrow(116, 77, 196, y + 12), box(200, y, 150, 24, word)]
    return 156, drawn


def stopping():
    xs = np.arange(11)
    loss = 95 * np.exp(-xs / 2.5)
    valid = loss + 14 + 2.4 * np.maximum(0, xs - 4) ** 1.45
    train, held_out = (
        [(20 + 28 * x, 118 - y) for x, y in zip(xs, v, strict=True)] for v in (loss, valid)
    )
    best = held_out[int(valid.argmin())]
    return 152, [
        curve(train, stroke=BLUE),
        curve(held_out, stroke=ORANGE),
        dots([best], GREEN),
        text(300, 138, "training rows", fill=BLUE),
        text(300, 30, "held-out rows", fill=ORANGE),
        arrow(best[0], 134, best[0], best[1] + 8),
        text(best[0], 147, "best weights", fill=GREEN),
        text(22, 147, "loss by epoch", anchor="start"),
    ]


DRAWINGS = {
    "batch": batch,
    "step": step,
    "learning-rate": lr,
    "epoch": epoch,
    "shuffle": shuffle,
    "sampler": sampler,
    "transform": transform,
    "worker": worker,
    "prefetch": prefetch,
    "pinned-memory": pinned,
    "seed": seed,
    "early-stopping": stopping,
}

TIP = (
    '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" '
    'markerWidth="7" markerHeight="7" orient="auto">'
    f'<path d="M0,0 L8,4 L0,8 z" fill="{INK}"/></marker>'
)


def svg(name):
    """Return a drawing as the text of a file."""
    height, parts = DRAWINGS[name]()
    size = f'viewBox="0 0 360 {height}" width="360" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
    return "\n".join([head, f"<defs>{TIP}</defs>", *parts, "</svg>", ""])


if __name__ == "__main__":
    for name in DRAWINGS:
        (Path(sys.argv[1]) / f"{name}.svg").write_text(svg(name))
