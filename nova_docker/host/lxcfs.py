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

"""lxcfs, which shows each container its own CPUs and memory in /proc.

It is a file system of the host, https://linuxcontainers.org/lxcfs, that knows
who reads it.
"""

import os
import typing

#: Of what it has, the files that a container may have instead of the kernel's
#: (libcontainer of runc names those of /proc).
_FILES = ('proc/cpuinfo', 'proc/diskstats', 'proc/loadavg', 'proc/meminfo',
          'proc/stat', 'proc/swaps', 'proc/uptime',
          'sys/devices/system/cpu/online')


def mounts(directory: str) -> list[dict[str, typing.Any]]:
    """The CDI mounts of a container; none where it does not run.

    :param directory: where it is mounted
    """
    if not os.path.ismount(directory):
        return []
    return [{'hostPath': os.path.join(directory, name),
             'containerPath': f'/{name}', 'type': 'bind',
             'options': ['bind', 'ro', 'nosuid', 'nodev', 'noexec']}
            for name in _FILES
            if os.path.exists(os.path.join(directory, name))]
