"""Backups of a cluster: settings, records, cuts, runs, retention. May import events and all below it."""
