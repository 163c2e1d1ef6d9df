"""Interactive shells on a pseudo-terminal, to press Tab in."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import pexpect
import pyte

from .cli import Cli
from .terminal import lines_of

_COLUMNS, _ROWS = 250, 40
#: Maximum number of seconds that a shell may take for one step; then its test fails.
LIMIT_SECONDS = 30.0
#: The prompt: a text that nothing else prints.
PROMPT = "READY%"
#: Files with which each shell starts, and the arguments for that.
_START = {
    "bash": ("rc.bash", ["--noprofile", "--rcfile", "{file}", "-i"], "PS1='{prompt} '\nbind 'set bell-style none'\n"),
    "zsh": (".zshrc", ["-i"], "PS1='{prompt}% '\nunsetopt PROMPT_SP\nautoload -Uz compinit\ncompinit -u\n"),
    "fish": (
        "config.fish",
        ["--no-config", "-i", "-C", "source {file}"],
        "function fish_prompt; echo -n '{prompt} '; end\nfunction fish_greeting; end\n"
        "set -g fish_autosuggestion_enabled 0\n",
    ),
}
#: Seconds to wait for more output before the screen is looked at.
_POLL_SECONDS = 0.03


@dataclass
class Shell:
    """An interactive shell that completes `awictl`."""

    name: str
    process: pexpect.spawn
    _screen: pyte.Screen
    _stream: pyte.ByteStream

    @property
    def screen(self) -> str:
        """What is on the screen."""
        return "\n".join(lines_of(self._screen))

    def completed(self, typed: str) -> str:
        """Type a text and Tab; return the line after it, which is then cleared."""
        self._prompt()
        self.process.send(typed)
        self._until(lambda: typed.replace(" ", "") in self._line().replace(" ", ""))
        self.process.send("\t")
        self._wait_for_completion(typed)
        return self._line() + " "

    def run(self, command: str, until: str) -> None:
        """Run a command, and wait until its output shows a text."""
        self._prompt()
        self.process.send(command.rstrip() + "\r")
        self._until(lambda: until in self.screen.replace("\n", ""))

    def close(self) -> None:
        """End the shell."""
        self.process.close(force=True)

    def _prompt(self) -> None:
        """Get an empty line at the top of an empty screen."""
        self.process.send("\x05\x15\x0c")  # Ctrl-E, Ctrl-U, Ctrl-L
        self._until(lambda: self.screen.strip().startswith(PROMPT) and self._line() == "")

    def _line(self) -> str:
        """The text behind the last prompt."""
        return self.screen.rpartition(PROMPT)[2].lstrip("% ").strip().split("\n")[0]

    def _wait_for_completion(self, typed: str) -> None:
        """Wait until the shell has processed Tab: it then shows the keys that are typed after it."""
        mark = "~@"
        self.process.send(mark)
        self._until(lambda: mark in self.screen)
        self.process.send("\x7f\x7f")  # Backspace
        self._until(lambda: mark not in self.screen)

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{self.name} shows:\n{self.screen}"
            self._read(_POLL_SECONDS)

    def _read(self, seconds: float) -> None:
        """Read output until there is none for some time."""
        while True:
            try:
                data = self.process.read_nonblocking(1 << 16, timeout=seconds)
            except pexpect.TIMEOUT:
                return
            # fish asks the terminal for its features, and waits for an answer
            for _ in re.findall(rb"\x1b\[0?c", data):
                self.process.send("\x1b[?62;c")
            self._stream.feed(re.sub(rb"\x1b\[[<>=?][\d;]*[uqm]|\x1b\].*?(\x07|\x1b\\)|\x1bP.*?\x1b\\", b"", data))


def shell_on_terminal(name: str, user: Cli) -> Shell:
    """Start a shell as `user`, with awictl's completion loaded as the guide says."""
    file_name, arguments, text = _START[name]
    file = user.home / file_name
    load = "awictl completion fish | source" if name == "fish" else f"source <(awictl completion {name})"
    file.write_text(text.format(prompt=PROMPT) + load + "\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12+: forkpty in a process with threads
        process = pexpect.spawn(
            name,
            [one.format(file=file) for one in arguments],
            cwd=str(user.home),
            env={**user.env, "ZDOTDIR": str(user.home), "TERM": "xterm"},
            dimensions=(_ROWS, _COLUMNS),
            timeout=LIMIT_SECONDS,
        )
    screen = pyte.Screen(_COLUMNS, _ROWS)
    shell = Shell(name, process, screen, pyte.ByteStream(screen))
    shell._until(lambda: PROMPT in shell.screen)
    return shell
