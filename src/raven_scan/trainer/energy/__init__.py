"""What a process of the trainer uses of energy, and the CO2 of it, measured beside it with codecarbon's parts."""
