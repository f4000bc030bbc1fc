"""`python -m humus.cli`, the same as `humus`."""

from humus.cli import main

if __name__ == "__main__":
    main()
