"""What every slice stands on: settings, database, errors, clock, ids."""
