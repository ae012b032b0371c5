"""Reading what to log in with: from standard input, a variable or a prompt, never from the command line.

An argument would be seen in the process list and kept in the shell's history.
"""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import dataclass

from coldsend.channels.registry import Login
from coldsend.errors import InvalidInput, UsageError

SECRET_LIMIT = 10_000  # characters


@dataclass(frozen=True, slots=True)
class LoginOptions:
    """The options of a command that takes a login. password_env: name of a variable."""

    username: str | None = None
    password_stdin: bool = False
    password_env: str | None = None
    password_prompt: bool = False
    token_stdin: bool = False


def read(options: LoginOptions, *, may_prompt: bool) -> Login:
    """The login; may_prompt: ask on a terminal where a user name stands alone."""
    ways = {
        "--password-stdin": options.password_stdin,
        "--password-env": options.password_env is not None,
        "--password-prompt": options.password_prompt,
        "--token-stdin": options.token_stdin,
    }
    chosen = [option for option, given in ways.items() if given]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} exclude each other", hint="give one of them")
    username = None if options.username is None else options.username.strip()
    if options.token_stdin:
        return Login(username, token=_from_stdin("the token"))
    return Login(username, _password(options, may_prompt=may_prompt and bool(username)))


def read_webhook_secret(options: LoginOptions) -> str:
    """What proves webhooks, from standard input; it may have several lines, as PEM keys do."""
    if options.password_stdin or options.token_stdin:
        other = "--password-stdin" if options.password_stdin else "--token-stdin"
        raise UsageError(
            f"{other} and --webhook-secret-stdin exclude each other", hint="give them in two commands"
        )
    if sys.stdin.isatty():
        return getpass.getpass("Webhook secret: ", stream=sys.stderr).strip()
    secret = sys.stdin.read(SECRET_LIMIT).strip()
    if not secret:
        raise InvalidInput(
            "the webhook secret is missing: standard input is empty",
            hint="for example: coldsend service update .. --webhook-secret-stdin < key.txt",
        )
    return secret


def _password(options: LoginOptions, *, may_prompt: bool) -> str | None:
    if options.password_stdin:
        return _from_stdin("the password")
    if options.password_env is not None:
        secret = os.environ.get(options.password_env)
        if not secret:
            raise InvalidInput(
                f"the variable {options.password_env} is not set", hint="export it, or use --password-stdin"
            )
        return secret
    if options.password_prompt or (may_prompt and sys.stdin.isatty()):
        if not sys.stdin.isatty():
            raise UsageError("nobody can be asked: this is no terminal", hint="use --password-stdin")
        return getpass.getpass("Password (or API key): ", stream=sys.stderr)
    return None


def _from_stdin(what: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"{what.removeprefix('the ').capitalize()}: ", stream=sys.stderr)
    secret = sys.stdin.readline().rstrip("\r\n")
    if not secret:
        raise InvalidInput(
            f"{what} is missing: standard input is empty",
            hint="let it come from a file: --password-stdin < password.txt"
            if what == "the password"
            else "let it come from a file: --token-stdin < token.txt",
        )
    return secret
