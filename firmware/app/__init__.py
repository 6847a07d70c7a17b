"""The application on a board: Wi-Fi, clock, Azure, and a reading every so often. `app.main` is where to read on."""


def log(words: str) -> None:
    """One line on the console."""
    print("azureiot: " + words)
