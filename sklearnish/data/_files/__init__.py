"""Files: which are meant, whether they changed, how they are written and kept open."""
