"""How an image file becomes 3 x uint8, the same at import, in training and in prediction.

Nothing is imported here: who needs the rules alone must not wait for the readers of images.
"""
