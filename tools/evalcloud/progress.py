#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""What the commands say while they work, on standard error."""

import os
import shutil
import subprocess
import sys
import time

#: Name of the variable that hands the begin to a command of ours.
BEGAN = 'NOVA_DOCKER_BEGAN'
_START = float(os.environ.get(BEGAN) or time.monotonic())


def began() -> dict[str, str]:
    """Environment with which a command counts from our own begin."""
    return {BEGAN: str(_START)}


class Failure(Exception):
    """Something that the user must be told; ends the command."""


def say(text: str) -> None:
    """Print one line with the seconds since the command began."""
    print(f'{time.monotonic() - _START:7.1f}s  {text}', file=sys.stderr,
          flush=True)


class Step:
    """``with Step('what'):`` says what begins and how long it took."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> 'Step':
        self._began = time.monotonic()
        say(f'{self.what} ...')
        return self

    def __exit__(self, kind: type | None, *_unused: object) -> None:
        took = time.monotonic() - self._began
        say(f'{self.what}: {"failed" if kind else "done"} ({took:.1f}s)')


def run(*command: str, log: str | None = None,
        env: dict[str, str] | None = None, cwd: str | None = None) -> str:
    """Run a command to its end and return its standard output.

    :param log: file that gets all that the command prints; the returned
        text is then empty.
    :raises Failure: with the command's last lines when it fails.
    """
    if not shutil.which(command[0], path=(env or os.environ).get('PATH')):
        raise Failure(f'{command[0]} is not on this machine')
    if log is None:
        done = subprocess.run(command, text=True, env=env, cwd=cwd,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            raise Failure(f'{" ".join(command)}: exit {done.returncode}\n'
                          f'{tail(done.stdout + done.stderr)}')
        return done.stdout
    with open(log, 'a') as out:
        code = subprocess.call(command, env=env, cwd=cwd, stdout=out,
                               stderr=out, stdin=subprocess.DEVNULL)
    if code:
        with open(log, errors='replace') as out:
            raise Failure(f'{" ".join(command)}: exit {code}, log {log}\n'
                          f'{tail(out.read())}')
    return ''


def tail(text: str, lines: int = 15) -> str:
    """The last lines of a text, indented."""
    return '\n'.join('    ' + line for line in text.splitlines()[-lines:])
