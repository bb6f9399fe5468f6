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

"""A host of virtual machines: libvirt and QEMU beside the Docker hosts.

libvirt has one place for all that it keeps. The host is a mount namespace of
its own, where folders of the cloud are in that place: so it shares nothing
with a libvirt of the machine, and goes away with the cloud.
"""

import pathlib
import typing

from evalcloud import hosts
from evalcloud import packages
from evalcloud import progress
from evalcloud import settings

#: Debian packages, with what it takes to build Python's binding.
PACKAGES = ('libvirt-daemon-system', 'libvirt-clients', 'qemu-system-x86',
            'qemu-utils', 'libvirt-dev', 'pkg-config', 'gcc')
#: The binding, on PyPI.
BINDING = 'libvirt-python'

#: Folders of libvirt, and what the host has in their place.
_PLACES = {'/etc/libvirt': 'etc', '/run/libvirt': 'run',
           '/var/lib/libvirt': 'lib', '/var/cache/libvirt': 'cache',
           '/var/log/libvirt': 'log'}

#: All runs as root, and what is QEMU's is for libvirt to clean up. Without
#: control groups of its own, which would outlive the cloud.
_QEMU_CONF = """\
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
"""
_LIBVIRTD_CONF = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
"""


def check() -> None:
    """Refuse a machine that can not have one."""
    if packages.architecture() != 'amd64':
        raise progress.Failure('--with libvirt has an image of a virtual '
                               'machine for x86-64 only')


def _folder(host: hosts.Host) -> pathlib.Path:
    return host.folder / 'libvirt'


def socket(host: hosts.Host) -> pathlib.Path:
    """Where libvirtd listens, seen from everywhere."""
    return _folder(host) / 'run' / 'libvirt-sock'


def url(host: hosts.Host) -> str:
    """What virsh calls it."""
    return f'qemu:///system?socket={socket(host)}'


def files(cloud: settings.Settings) -> dict[pathlib.Path, str]:
    """Text of its configuration files."""
    texts = {}
    for host in cloud.vm_hosts:
        etc = _folder(host) / 'etc'
        texts |= {etc / 'qemu.conf': _QEMU_CONF,
                  etc / 'libvirtd.conf': _LIBVIRTD_CONF,
                  etc / 'virtlogd.conf': '',
                  # Nova's driver asks for the address of the host's name,
                  # and a name server would be waited for.
                  host.etc / 'hosts': '127.0.0.1 localhost\n'
                                      f'{host.address} {host.name}\n'}
    return texts


def prepare(cloud: settings.Settings) -> None:
    """Put the host's folders in the place of libvirt's."""
    for host in cloud.vm_hosts:
        for place, name in _PLACES.items():
            own = _folder(host) / name
            own.mkdir(parents=True, exist_ok=True)
            _in(host, 'mkdir', '-p', place)
            _in(host, 'mount', '--bind', str(own), place)
        _in(host, 'mount', '--bind', str(host.etc / 'hosts'), '/etc/hosts')


def _in(host: hosts.Host, *command: str) -> None:
    progress.run(*host.enter, *command)


def daemons(host: hosts.Host) -> dict[str, list[str]]:
    """Command of each program: virtlogd writes what consoles print.

    Nova calls the host what libvirtd finds to be the name of its machine.
    """
    named = ['unshare', '--uts', 'sh', '-c',
             f'hostname {host.name} && exec $0 $*']
    return {name: [*named, name, '-f', f'/etc/libvirt/{name}.conf',
                   '-p', str(host.run / f'{name}.pid')]
            for name in ('virtlogd', 'libvirtd')}


def options() -> dict[str, dict[str, typing.Any]]:
    """Sections of the host's nova-compute.

    Without hardware's help, which the machine may not have: QEMU translates
    what a server executes.
    """
    return {'DEFAULT': {'compute_driver': 'libvirt.LibvirtDriver'},
            'libvirt': {'virt_type': 'qemu', 'cpu_mode': 'none'}}
