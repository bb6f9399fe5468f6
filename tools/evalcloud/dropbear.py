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

"""A small system image with an SSH server: busybox and dropbear.

What CirrOS is among the images of virtual machines: it boots in a second,
takes its key and user data from the metadata service, and has a user whom
sudo makes root without a password.
"""

import pathlib

from evalcloud import packages
from evalcloud import paths
from evalcloud import progress
from evalcloud import system_image

USER = 'guest'

#: Of the image in Glance.
PROPERTIES = {
    **system_image.PROPERTIES,
    # busybox's init ends at it.
    'docker_stop_signal': 'SIGUSR2',
    'os_admin_user': USER,
}

_INCLUDE = ('busybox-static', 'dropbear-bin', 'sudo', 'curl')

_ACCOUNTS = {
    '/etc/passwd': system_image.File(
        'root:x:0:0:root:/root:/bin/sh\n'
        f'{USER}:x:1000:1000:{USER}:/home/{USER}:/bin/sh\n'
        'nobody:x:65534:65534:nobody:/:/bin/false\n'),
    '/etc/shadow': system_image.File(
        'root:*:19000:0:99999:7:::\n'
        f'{USER}:*:19000:0:99999:7:::\n', 0o600),
    '/etc/group': system_image.File(
        f'root:x:0:\ntty:x:5:\n{USER}:x:1000:\nnogroup:x:65534:\n'),
    '/etc/nsswitch.conf': system_image.File('hosts: files dns\n'),
    '/etc/shells': system_image.File('/bin/sh\n'),
    '/etc/issue': system_image.File(
        f'{USER} logs in by key; sudo needs no password.\n'),
    f'/etc/sudoers.d/{USER}': system_image.File(
        f'{USER} ALL=(ALL:ALL) NOPASSWD: ALL\n', 0o440),
    # The rest of PAM is configured by scripts of packages, which do not run.
    '/etc/pam.d/sudo': system_image.File(
        ''.join(f'{kind} required pam_permit.so\n'
                for kind in ('auth', 'account', 'session'))),
}

#: For packages of Debian 13 and newer, which have their files below /usr
#: only: the links to there are of a package that is not unpacked.
_MERGE = ('cd "$1" && for each in bin sbin lib lib64; do '
          'mkdir -p $each usr/$each && cp -a $each/. usr/$each && '
          'rm -r $each && ln -s usr/$each $each; done')

_HOOKS = (
    # Of what the packages need to be installed, and documentation: two thirds.
    'cd "$1" && rm -rf usr/lib/*/*perl* usr/lib/*/gconv usr/bin/*perl* '
    'usr/share usr/include',
    'cd "$1" && mkdir -p root home mnt etc/dropbear && '
    'rm -rf var/run && ln -s /run var/run',
    # Links in the place of all programs that are not there.
    'chroot "$1" /bin/busybox --install -s',
    # For ping; it gives the privilege up where an applet needs none.
    'chmod u+s "$1/bin/busybox"',
)


def rootfs() -> pathlib.Path:
    """The tarball, some 30 MB, made on its first use."""
    merge = () if packages.codename() == 'bookworm' else (_MERGE,)
    return system_image.build(system_image.Recipe(
        # The packages are unpacked, and none that is essential is added.
        name='dropbear', variant='extract', include=_INCLUDE,
        files=system_image.tree('dropbear') | _ACCOUNTS,
        hooks=merge + _HOOKS))


def packed() -> pathlib.Path:
    """The same by zstd, made on its first use.

    In a tarball, compressed by gzip, bzip2 or xz or not, Tempest looks for
    the kernel of a virtual machine.
    """
    tarball = rootfs()
    file = tarball.with_suffix('.tar.zst')
    with paths.locked('dropbear'):
        if not file.exists():
            packages.install(['zstd'])
            fresh = tarball.with_suffix('.fresh')
            progress.run('zstd', '-q', '-f', '-o', str(fresh), str(tarball))
            fresh.rename(file)
    return file
