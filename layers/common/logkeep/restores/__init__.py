"""Archives opened, verified and restored. May import backups and all below it."""
