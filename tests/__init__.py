"""The tests of humus: see CONTRIBUTING.md for the map."""
