"""From what fit is given to what it learns."""
