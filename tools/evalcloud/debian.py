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

import hashlib
import pathlib
import tempfile

from evalcloud import packages
from evalcloud import paths
from evalcloud import progress

#: Debian packages that make it.
TOOLS = ('mmdebstrap',)

#: Of the image in Glance.
FORMATS = {'container_format': 'bare', 'disk_format': 'raw'}
PROPERTIES = {
    'docker_image_type': 'rootfs',
    'docker_command': '/sbin/init',
    'docker_system_container': 'true',
    'os_distro': 'debian',
    'os_admin_user': 'debian',
}

#: Not libpam-systemd: see "How to make a system image" in the documentation.
_INCLUDE = ('systemd-sysv', 'dbus', 'cloud-init', 'openssh-server', 'sudo',
            'iproute2', 'iputils-ping', 'locales', 'netbase',
            'ca-certificates')

_FILES = {
    '/etc/cloud/cloud.cfg.d/90_container.cfg':
        '# The network is configured before the first process runs, and not\n'
        '# for a container to change: ifup could only fail.\n'
        'network: {config: disabled}\n'
        '# Nor is the host name, which is set, too.\n'
        'preserve_hostname: true\n'
        '# It runs before the metadata service of its network may answer,\n'
        '# and cloud-init asks once only unless told to wait.\n'
        'datasource: {OpenStack: {max_wait: 120, timeout: 10, retries: 5}}\n'
        'locale: C.UTF-8\n',
    '/etc/default/locale': 'LANG=C.UTF-8\n',
}

#: What is this machine's or would be the same in all servers.
_REMOVE = ('etc/hostname', 'etc/resolv.conf', 'etc/ssh/ssh_host_*')


def rootfs() -> pathlib.Path:
    """The tarball, some 300 MB, made on its first use in about a minute."""
    # Another recipe makes another file.
    mark = hashlib.sha256(repr((_INCLUDE, _FILES, _REMOVE)).encode())
    file = paths.cache_dir() / (
        f'debian-{packages.codename()}-{mark.hexdigest()[:16]}.tar')
    with paths.locked('debian'):
        if not file.exists():
            packages.install(TOOLS)
            with (progress.Step('Debian root filesystem'),
                  tempfile.TemporaryDirectory(
                      dir=paths.cache_dir()) as name):
                fresh = pathlib.Path(name, 'rootfs.tar')
                progress.run(*_command(pathlib.Path(name), fresh),
                             log=str(pathlib.Path(name, 'log')))
                fresh.rename(file)
    return file


def _command(folder: pathlib.Path, target: pathlib.Path) -> list[str]:
    """mmdebstrap with the machine's own sources, copied into ``folder``."""
    suite = packages.codename()
    command = ['mmdebstrap', '--mode=root', '--variant=minbase',
               '--format=tar', f'--include={",".join(_INCLUDE)}',
               '--aptopt=Acquire::Languages "none"',
               '--dpkgopt=path-exclude=/usr/share/man/*',
               '--dpkgopt=path-exclude=/usr/share/doc/*',
               '--dpkgopt=path-include=/usr/share/doc/*/copyright']
    for number, (path, text) in enumerate(_FILES.items()):
        source = folder / str(number)
        source.write_text(text)
        command.append(f'--customize-hook=upload {source} {path}')
    command += [f'--customize-hook=rm -f "$1"/{name}' for name in _REMOVE]
    command += [suite, str(target)]
    for suffix, text in zip(('list', 'sources'),
                            packages.suite_sources(suite, suite)):
        if text:
            source = folder / f'suite.{suffix}'
            source.write_text(text)
            command.append(str(source))
    return command
