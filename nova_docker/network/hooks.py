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


"""A start hook that waits for its answer, as the driver sees it."""

import collections.abc
import contextlib
import dataclasses
import errno
import os
import typing

from oslo_log import log as logging
from oslo_utils import uuidutils

from nova_docker.network import plans
from nova_docker.network import process

LOG = logging.getLogger(__name__)

_STATE = '.state'
_GO = '.go'


@dataclasses.dataclass(frozen=True)
class Hook:
    """One run of the start hook.

    :param directory: of nova_docker.network.plans.hooks_dir
    :param pid: of the hook's process
    :param started: its start time, so that no other process is taken for it
    """

    uuid: str
    directory: str
    pid: int
    started: int

    def alive(self) -> bool:
        """Whether the hook's process is still there."""
        return process.start_time(self.pid) == self.started

    def ready(self) -> bool:
        """Whether the hook waits for its answer."""
        return os.path.exists(self._path(_STATE))

    def container_pid(self) -> int:
        """The process whose network namespace the container has.

        :raises OSError, ValueError: the hook has gone or wrote nonsense
        """
        pid = self._state().get('pid')
        if not isinstance(pid, int):
            raise ValueError(f'no pid in the state of hook {self.pid}')
        return pid

    def container_id(self) -> str | None:
        """The engine's id of the container; None of a hook that has gone.

        :raises OSError: its state can't be read
        """
        return self._state().get('id')

    def answer(self, go: bool) -> bool:
        """Let the container start, or fail its start.

        :returns: whether the hook was still there to hear it
        """
        try:
            fifo = os.open(self._path(_GO), os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENOENT):
                return False
            raise
        try:
            os.write(fifo, b'go\n' if go else b'no\n')
        finally:
            os.close(fifo)
        return True

    def sweep(self) -> None:
        """Remove what a hook left that was killed."""
        for suffix in (_STATE, _GO, '.tmp'):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(suffix))

    def _state(self) -> dict[str, typing.Any]:
        """The OCI state that the engine gave it."""
        state = plans.read_json(self._path(_STATE))
        return state if isinstance(state, dict) else {}

    def _path(self, suffix: str) -> str:
        return os.path.join(
            self.directory, f'{self.pid}-{self.started}{suffix}')


def parse(state_dir: str, request: str) -> Hook:
    """The hook of one request line, ``<uuid> <pid>-<start time>``.

    :raises ValueError: it is not a request
    """
    uuid, _, process_name = request.partition(' ')
    pid, _, started = process_name.partition('-')
    if not (uuidutils.is_uuid_like(uuid) and pid.isdecimal() and
            started.isdecimal()):
        raise ValueError('not a request of a start hook')
    return Hook(uuid, plans.hooks_dir(state_dir, uuid), int(pid),
                int(started))


def scan(state_dir: str) -> collections.abc.Iterator[Hook]:
    """The hooks that wait; the files of hooks that are gone are removed."""
    for uuid in sorted(plans.instances(state_dir)):
        for hook in sorted(_left(state_dir, uuid), key=lambda hook: hook.pid):
            if not hook.alive():
                LOG.info('Start hook %d of instance %s is gone.', hook.pid,
                         uuid)
                hook.sweep()
            elif hook.ready():
                yield hook


def _left(state_dir: str, uuid: str) -> set[Hook]:
    """The hooks of an instance that have plans."""
    try:
        entries = os.listdir(plans.hooks_dir(state_dir, uuid))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    found = set()
    for entry in entries:
        with contextlib.suppress(ValueError):
            found.add(parse(
                state_dir, f'{uuid} {os.path.splitext(entry)[0]}'))
    return found
