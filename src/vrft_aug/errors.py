"""The one exception that a user's mistake ends in."""


class UserError(Exception):
    """Input given by the user is wrong; the command line prints the message alone and exits with 2.

    The message is one line: what was given, what was expected, which file and case, what to try.
    Everything else that goes wrong is a bug of ours and keeps its traceback.
    """
