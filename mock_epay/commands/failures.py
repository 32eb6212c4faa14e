"""The ways in which a command is not carried out, each with the exit code that tells it."""


class CommandError(Exception):
    """A command that was not carried out; the message is one line that says why."""

    exit_code = 1


class WrongCallError(CommandError):
    """A command that cannot be carried out as it was called."""

    exit_code = 2
