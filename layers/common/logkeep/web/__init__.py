"""What every HTTP function shares: the App, error bodies, delivery, audit. May import identity and all below it."""
