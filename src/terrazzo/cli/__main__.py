"""`python -m terrazzo.cli`, for launchers that start modules, such as torchrun."""

from terrazzo.cli import main

if __name__ == "__main__":
    main()
