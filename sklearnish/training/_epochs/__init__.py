"""What is known of each epoch: losses, when to stop, what is shown."""
