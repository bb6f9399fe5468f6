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

"""The control groups of a container: of the devices it may use, and others."""

import contextlib
import errno
import os

from nova_docker.privsep import bpf


def change(pid: int, container: str, major: int, minor: int,
           access: str) -> None:
    """Let a container do with one block device what is said, and no more.

    It holds until the container ends.

    :param pid: of a process of the container
    :param container: id of the container
    :param access: some of r, w and m (mknod); none denies the device
    :raises OSError: the container has ended, or the host cannot do that
    """
    directory, is_first = find(pid, container)
    if is_first:
        _first(directory, major, minor, access)
    else:
        bpf.change(directory, major, minor, access)


def processes(pid: int, container: str) -> list[int]:
    """The processes of a container.

    :raises OSError: the container has ended
    """
    directory, _is_first = find(pid, container)
    found: list[int] = []
    for path, _directories, _files in os.walk(directory):
        # One below may go meanwhile; one of threads has no processes.
        with (contextlib.suppress(OSError),
              open(os.path.join(path, 'cgroup.procs')) as file):
            found += [int(line) for line in file]
    return found


def find(pid: int, container: str, proc: str = '/proc',
         controller: str = 'devices') -> tuple[str, bool]:
    """The control group of a container for a controller.

    Its process may be in one below: an init of version 2 makes some.

    :param controller: its name in version 1
    :returns: its directory, and whether it is of version 1
    :raises ProcessLookupError: the process is not of the container
    :raises FileNotFoundError: this host does not have one where it is mounted
    """
    groups, mounted = _groups(proc, pid), mounts(proc)
    first = next((name for name in groups
                  if controller in name.split(',')), None)
    is_first = first is not None and controller in mounted
    path = groups[first] if is_first and first else groups.get('', '')
    parts = path.split('/')
    at = [number for number, part in enumerate(parts) if container in part]
    if not container or not at:
        raise ProcessLookupError(
            errno.ESRCH, f'{pid} is no process of {container}')
    mount = mounted.get(controller if is_first else '')
    if mount is None:
        raise FileNotFoundError(
            errno.ENOENT, f'no control groups for {controller} are mounted')
    return os.path.join(mount, *parts[1:at[0] + 1]), is_first


def mounts(proc: str = '/proc') -> dict[str, str]:
    """By controller, where version 1 is mounted, and by '' version 2.

    Only mounts of the whole; the first of them is the host's own. CRIU mounts
    them once more, for as long as it saves or restores a container.

    Source: proc_pid_mountinfo(5).
    """
    found: dict[str, str] = {}
    with open(f'{proc}/self/mountinfo', encoding='utf-8') as mountinfo:
        for line in mountinfo:
            before, _dash, after = line.rstrip('\n').partition(' - ')
            _id, _parent, _device, root, path, *_others = before.split(' ')
            kind, _source, options = after.split(' ', 2)
            controllers = {'cgroup': options.split(','), 'cgroup2': ['']}
            if root == '/':
                for controller in controllers.get(kind, ()):
                    found.setdefault(controller, path)
    return found


def _groups(proc: str, pid: int) -> dict[str, str]:
    """By controllers, the control groups of a process; none if it is gone."""
    try:
        with open(f'{proc}/{pid}/cgroup', encoding='utf-8') as lines:
            return {fields[1]: fields[2] for fields in (
                line.rstrip('\n').split(':', 2) for line in lines)}
    except (FileNotFoundError, ProcessLookupError):
        return {}


def _first(directory: str, major: int, minor: int, access: str) -> None:
    """Source: Documentation/admin-guide/cgroup-v1/devices.rst of Linux."""
    # What was allowed before, by the container's start too, goes first.
    for name, allowed in (('devices.deny', 'rwm'), ('devices.allow', access)):
        if allowed:
            with open(os.path.join(directory, name), 'w') as file:
                file.write(f'b {major}:{minor} {allowed}')
