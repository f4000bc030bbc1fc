"""What is released: built so that anybody gets the same bytes, and tried where nothing of this repository is."""
