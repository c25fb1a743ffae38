"""What to do where a model seems to have had too little memory, in the words of its host and of the supervisor."""


def too_little(memory: int) -> str:
    """The diagnosis for a process that may hold `memory` bytes of data and could not load its model."""
    return (
        f"`memory` allows its process {memory / 2**20:.4g} MiB, which is probably too little: "
        "raise it (--memory, or `memory` of the model in penstock.yaml)"
    )
