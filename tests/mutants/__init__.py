"""Deliberate faults in the source, one at a time, and for each the test that must notice it: `make mutants`."""
