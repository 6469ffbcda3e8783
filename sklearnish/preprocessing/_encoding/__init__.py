"""What a column of a table becomes: one file a kind, and how it is found."""
