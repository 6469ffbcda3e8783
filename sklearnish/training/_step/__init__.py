"""One step: forward, loss, gradients, optimizer."""
