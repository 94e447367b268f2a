"""`python -m vrft_aug` is the command `vrft`."""

from vrft_aug.cli import main

if __name__ == "__main__":
    main()
