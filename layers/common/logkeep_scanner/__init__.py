"""Builds logkeep/logs/_scanner.so, which reads the records of a text. It is no part of the layer."""
