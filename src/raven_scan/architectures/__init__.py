"""What can be built: architectures, parameters with bounds and defaults, starting weights. No torch."""
