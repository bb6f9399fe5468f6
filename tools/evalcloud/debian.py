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

"""A system image: the root filesystem of a small Debian whose init is systemd.

mmdebstrap makes it from the package sources of this machine, with sshd and
cloud-init, which finds what Nova says in a config drive or asks the metadata
service. A server of it is used like a virtual machine.
"""

import pathlib

from evalcloud import system_image

#: Of the image in Glance.
PROPERTIES = {
    **system_image.PROPERTIES,
    'os_distro': 'debian',
    'os_admin_user': 'debian',
}

#: Not libpam-systemd: see "How to make a system image" in the documentation.
_INCLUDE = ('systemd-sysv', 'dbus', 'cloud-init', 'openssh-server', 'sudo',
            'iproute2', 'iputils-ping', 'locales', 'netbase',
            'ca-certificates')

_FILES = {
    '/etc/cloud/cloud.cfg.d/90_container.cfg': system_image.File(
        '# The network is configured before the first process runs, and not\n'
        '# for a container to change: ifup could only fail.\n'
        'network: {config: disabled}\n'
        '# Nor is the host name, which is set, too.\n'
        'preserve_hostname: true\n'
        '# It runs before the metadata service of its network may answer,\n'
        '# and cloud-init asks once only unless told to wait.\n'
        'datasource: {OpenStack: {max_wait: 120, timeout: 10, retries: 5}}\n'
        'locale: C.UTF-8\n'),
    '/etc/default/locale': system_image.File('LANG=C.UTF-8\n'),
}

#: What is this machine's or would be the same in all servers.
_REMOVE = ('etc/hostname', 'etc/resolv.conf', 'etc/ssh/ssh_host_*')

RECIPE = system_image.Recipe(
    name='debian', include=_INCLUDE, files=_FILES,
    hooks=tuple(f'rm -f "$1"/{name}' for name in _REMOVE),
    options=('--aptopt=Acquire::Languages "none"',
             '--dpkgopt=path-exclude=/usr/share/man/*',
             '--dpkgopt=path-exclude=/usr/share/doc/*',
             '--dpkgopt=path-include=/usr/share/doc/*/copyright'))


def rootfs() -> pathlib.Path:
    """The tarball, some 300 MB, made on its first use in about a minute."""
    return system_image.build(RECIPE)
