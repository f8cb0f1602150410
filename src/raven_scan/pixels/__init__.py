"""How an image file becomes 3 x uint8, the same for checks, training and prediction. No torch."""
