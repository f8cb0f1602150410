"""How well a model detects: COCO's figures, and precision and recall at the best confidence."""
