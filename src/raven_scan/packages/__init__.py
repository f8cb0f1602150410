"""Models as signed packages, out of one platform and into another."""
