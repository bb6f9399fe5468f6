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
"""File systems of other hosts, mounted on this one.

Nothing here looks at what is mounted but by a program that can be ended: with
the other host gone, whoever does so waits for it. For the same reason these
functions have a daemon of their own.
"""

import collections.abc
import contextlib
import errno
import os
import signal

from oslo_concurrency import processutils
from oslo_log import log as logging
import tenacity

import nova_docker.privsep
from nova_docker.privsep import mounts
from nova_docker.privsep import program

LOG = logging.getLogger(__name__)

#: Seconds in which a program is gone that was killed and can be.
_KILLED = 5


@nova_docker.privsep.shares_pctxt.entrypoint
def mount(kind: str, source: str, directory: str,
          options: collections.abc.Sequence[str], secret: str,
          timeout: int) -> None:
    """Mount a file system, or see that it answers where it is mounted.

    :param kind: as mount(8) calls it
    :param directory: is made where it is not there
    :param secret: of the kind that has an option secretfile; '' without
    :param timeout: seconds
    :raises TimeoutError: it does not answer
    :raises OSError: it can not be mounted
    :raises oslo_concurrency.processutils.ProcessExecutionError: likewise
    """
    if _is_mounted(directory):
        _run('stat', '--file-system', '--', directory, timeout=timeout)
        return
    os.makedirs(directory, mode=0o700, exist_ok=True)
    try:
        with _file(secret, directory) as more:
            _run('mount', '-t', kind, '-o', ','.join([*options, *more]), '--',
                 source, directory, timeout=timeout)
    except BaseException:
        # One that was ended may have come so far.
        if _is_mounted(directory):
            _detach(directory, timeout)
        _remove(directory)
        raise


@nova_docker.privsep.shares_pctxt.entrypoint
def unmount(directory: str, timeout: int) -> None:
    """Unmount a file system and remove its directory, if they are there.

    One that does not answer is detached: nobody finds it any more, and it
    goes when it has written what it has.

    :param timeout: seconds
    :raises oslo_concurrency.processutils.ProcessExecutionError: it is in use
    """
    if _is_mounted(directory):
        try:
            _unmount(directory, timeout)
        except TimeoutError:
            LOG.warning('%s does not answer, and is detached', directory)
            _detach(directory, timeout)
    _remove(directory)


@nova_docker.privsep.shares_pctxt.entrypoint
def mounted(directory: str) -> list[str]:
    """Where something is mounted in a directory or at it, in order."""
    return mounts.below(os.path.realpath(directory))


def _is_mounted(directory: str) -> bool:
    # Its last part may not answer, and is no link.
    parent, name = os.path.split(directory)
    path = os.path.join(os.path.realpath(parent), name)
    return path in mounts.below(path)


def _unmount(directory: str, timeout: int) -> None:
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(
            processutils.ProcessExecutionError),
        stop=tenacity.stop_after_attempt(mounts.TRIES),
        wait=tenacity.wait_fixed(mounts.TRY_AFTER), reraise=True)
    retrying(_run, 'umount', '--', directory, timeout=timeout)


def _detach(directory: str, timeout: int) -> None:
    _run('umount', '--lazy', '--', directory, timeout=timeout)


def _run(*command: str, timeout: int) -> None:
    """Run a program; it ends with those that it started, in time.

    One that waits for its storage may be gone much later. It is not waited
    for, nor for what it might say.

    :raises TimeoutError: it had to be ended
    """
    try:
        program.run('timeout', '--signal=KILL', str(timeout), *command,
                    timeout=timeout + _KILLED)
    except processutils.ProcessExecutionError as error:
        # timeout(1) is in the group that it kills.
        if error.exit_code == -signal.SIGKILL:
            raise TimeoutError(
                errno.ETIMEDOUT,
                f'no answer in {timeout} seconds') from error
        raise


def _remove(directory: str) -> None:
    """Remove a directory, and that of its instance with the last one.

    Also the secret, of a daemon that was killed as it mounted.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_secret(directory))
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(directory)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(directory))


@contextlib.contextmanager
def _file(secret: str, directory: str
          ) -> collections.abc.Iterator[list[str]]:
    """The option for a secret, which neither arguments nor logs have."""
    if not secret:
        yield []
        return
    path = _secret(directory)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, 'w') as file:
            file.write(secret)
        yield [f'secretfile={path}']
    finally:
        os.unlink(path)


def _secret(directory: str) -> str:
    return f'{directory}.secret'
