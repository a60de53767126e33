"""Archives opened, verified and restored. May import backups and what backups may import."""
