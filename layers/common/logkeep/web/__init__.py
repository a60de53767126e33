"""What all HTTP functions share: App, parsing, errors, delivery, audit. May import identity and all below it."""
