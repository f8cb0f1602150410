"""What keeps a data folder whole: backups, and checks that repair."""
