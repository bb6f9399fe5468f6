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


"""What the network of an instance has on disk, its plan before all.

Under ``[docker]state_dir``, owned by the user of nova-compute::

    hook.sh                     the start hook that the engine runs as root
    criu.conf                   options for CRIU, by nova_docker.host
    consoles.json               the ports of consoles, by nova_docker.console
    requests                    FIFO: hooks write, the gate reads
    instances/<uuid>/
        ports.json              the last plan, for starts Nova did not ask for
        plugged.json            the ports that are plugged on the host
        netns                   the held network namespace (a bind mount)
        netns.json              which one that is, and whose
        volumes.json            the volumes it has, by nova_docker.lifecycle
        shares.json             the shares that it has, likewise
        quiesced.json           whether it is quiesced, likewise
        suspended.json          how it is suspended, likewise
        migrating.json          its live migration, likewise
        config_drive/           what the instance sees of its metadata; root's
        hooks/<pid>-<start time>.state    OCI state of a waiting hook's start
        hooks/<pid>-<start time>.go       FIFO for the answer to this hook

The directories are closed to all but their owner and root, so the hook may
leave its own files open to everybody.
"""

import collections.abc
import contextlib
import json
import os
import typing

from nova_docker.privsep import files
from nova_docker.spec import ports as ports_spec

_MODE = 0o700


def instance_dir(state_dir: str, uuid: str) -> str:
    """Directory of what the driver keeps of one instance."""
    return os.path.join(state_dir, 'instances', uuid)


def netns_path(state_dir: str, uuid: str) -> str:
    """File that holds the instance's network namespace."""
    return os.path.join(instance_dir(state_dir, uuid), 'netns')


def hooks_dir(state_dir: str, uuid: str) -> str:
    """Directory of the instance's waiting start hooks."""
    return os.path.join(instance_dir(state_dir, uuid), 'hooks')


def config_drive_path(state_dir: str, uuid: str) -> str:
    """Directory that is the instance's config drive."""
    return os.path.join(instance_dir(state_dir, uuid), 'config_drive')


def root_path(state_dir: str, uuid: str) -> str:
    """Directory at which the instance's root volume is looked at first."""
    return os.path.join(instance_dir(state_dir, uuid), 'root')


def requests_path(state_dir: str) -> str:
    """FIFO on which start hooks announce themselves."""
    return os.path.join(state_dir, 'requests')


def ensure(state_dir: str, uuid: str) -> str:
    """Make the directories of an instance; returns :func:`instance_dir`.

    They must be there before the container is started.
    """
    directory = instance_dir(state_dir, uuid)
    # The mode given to makedirs is that of the last directory only.
    for path in (state_dir, os.path.dirname(directory), directory,
                 hooks_dir(state_dir, uuid)):
        os.makedirs(path, mode=_MODE, exist_ok=True)
    return directory


def write(state_dir: str, uuid: str,
          ports: collections.abc.Iterable[ports_spec.Port]) -> None:
    """Keep the plan of an instance for later starts."""
    write_json(os.path.join(ensure(state_dir, uuid), 'ports.json'),
               [port.to_dict() for port in ports])


def read(state_dir: str, uuid: str) -> list[ports_spec.Port] | None:
    """The last plan of an instance; None when there is no usable one."""
    plain = read_json(
        os.path.join(instance_dir(state_dir, uuid), 'ports.json'))
    try:
        return [ports_spec.Port.from_dict(port) for port in plain]
    except (KeyError, TypeError, ValueError):
        return None


def remove(state_dir: str, uuid: str) -> None:
    """Remove all that is kept of an instance (idempotent).

    Its namespace has been released.

    :raises OSError: something cannot be removed
    """
    files.remove_tree(instance_dir(state_dir, uuid))


def instances(state_dir: str) -> set[str]:
    """The instances that something is kept of."""
    try:
        return set(os.listdir(os.path.join(state_dir, 'instances')))
    except FileNotFoundError:
        return set()


def write_json(path: str, value: typing.Any, durable: bool = False) -> None:
    """Write a file so that a reader sees the old one or the new one.

    :param durable: whether that is so after a loss of power as well, which
        takes the disk some milliseconds: for what nothing else tells
    """
    temporary = f'{path}.tmp'
    with open(temporary, 'w', encoding='utf-8') as file:
        json.dump(value, file)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.rename(temporary, path)
    if durable:
        folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_json(path: str) -> typing.Any:
    """The value in a file, None when it is absent or broken."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    return None
