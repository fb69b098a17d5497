"""`python -m shutdownlab`: the same as the `shutdownlab` command."""

from shutdownlab.cli import main

if __name__ == "__main__":
    main()
