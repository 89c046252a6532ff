"""What may go wrong on the user's machine, each as one sentence with its remedy and the exit code of the command."""


class DevError(Exception):
    """Something about this machine stops a run: `sentence` says what, why and the next step; `detail` may quote logs.

    `exit_code` is the code of the `edgeweir` command: 3 needed and missing, 4 not found, 5 no answer in time.
    """

    exit_code = 1

    def __init__(self, sentence: str, detail: str = "") -> None:
        super().__init__(f"{sentence}\n{detail}" if detail else sentence)
        self.sentence = sentence
        self.detail = detail


class Missing(DevError):
    """Something needed is not there: Java, a jar, a named port, a program, a setting."""

    exit_code = 3


class NotFound(DevError):
    """No such run or child."""

    exit_code = 4


class NoAnswer(DevError):
    """The broker ended or was not ready before the deadline."""

    exit_code = 5
