"""From where rows live to a Dataset."""
