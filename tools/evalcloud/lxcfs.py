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


"""lxcfs, a file system that shows servers their own CPUs and uptime in /proc.

Each host has its own, which the driver finds by ``[docker]lxcfs_dir``.
"""

import os
import pathlib
import subprocess

from evalcloud import hosts

#: Debian package.
PACKAGE = 'lxcfs'


def works() -> bool:
    """Whether this machine's kernel has file systems in user space."""
    try:
        os.close(os.open('/dev/fuse', os.O_RDWR))
    except OSError:
        return False
    return True


def folder(host: hosts.Host) -> pathlib.Path:
    """Where it is mounted, on that host only."""
    return host.data / 'lxcfs'


def command(host: hosts.Host) -> list[str]:
    """What runs it; a mount of one that was killed is taken away before.

    With CPUs counted by a server's share of CPU time.
    """
    place = folder(host)
    return ['sh', '-c', f'umount --lazy {place} 2>/dev/null; '
            f'exec lxcfs --foreground --enable-cfs --enable-loadavg '
            f'--pidfile={host.run}/lxcfs.pid {place}']


def is_mounted(host: hosts.Host) -> bool:
    """Whether a container that starts there would have it."""
    return not subprocess.call(
        [*host.enter, 'test', '-e', str(folder(host) / 'proc' / 'uptime')])
