"""Images in folders, lists and tars."""
