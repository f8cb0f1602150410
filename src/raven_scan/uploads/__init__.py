"""Large files that arrive in parts, and go on where they broke off."""
