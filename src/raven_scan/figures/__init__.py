"""What figures of detectors are, and how they are reckoned from matches: numbers alone, no framework."""
