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

"""A small disk image of a virtual machine, from Debian's packages.

The distribution's kernel for clouds, and busybox in its initial file system:
as little as answers. It is to a virtual machine what the image of ``busybox``
is to a container: it takes its addresses, says that it is up on its console,
and serves a page. User data that begins with #! is run.
"""

import gzip
import hashlib
import io
import os
import pathlib
import re
import stat
import subprocess

from evalcloud import busybox
from evalcloud import packages
from evalcloud import paths
from evalcloud import progress

#: Of the image in Glance.
FORMATS = {'container_format': 'bare', 'disk_format': 'qcow2'}
PROPERTIES = {
    'img_hv_type': 'qemu', 'hw_vm_mode': 'hvm', 'hw_architecture': 'x86_64',
    'os_type': 'linux',
    # It does not hear a power button: nothing is gained by a wait.
    'os_shutdown_timeout': '1',
}

#: Modules of the kernel, in the order that they need one another, with
#: options.
_MODULES = {
    'virtio_ring': '', 'virtio': '', 'virtio_pci_legacy_dev': '',
    'virtio_pci_modern_dev': '', 'virtio_pci': '', 'virtio_blk': '',
    'failover': '', 'net_failover': '', 'virtio_net': 'csum=0 gso=0',
}
_TOOLS = ('syslinux', 'syslinux-common', 'mtools', 'dosfstools')
_KERNEL = 'linux-image-cloud-amd64'
_TREE = pathlib.Path(__file__).parent / 'trees' / 'vm'
_MIB = 1 << 20
#: The kernel's messages are on both consoles; the last one is /dev/console.
_SYSLINUX = ('DEFAULT linux\nLABEL linux\n  KERNEL vmlinuz\n'
             '  INITRD initrd.gz\n'
             '  APPEND console=tty0 console=ttyS0 quiet panic=10\n')


def disk() -> pathlib.Path:
    """The disk image, some 15 MB of qcow2, made on its first use."""
    said = repr((_MODULES, _SYSLINUX, (_TREE / 'init').read_bytes()))
    mark = hashlib.sha256(said.encode()).hexdigest()[:16]
    return paths.once(f'virtual-machine-{mark}', _make) / 'disk.qcow2'


def _make(folder: pathlib.Path) -> None:
    """Make the disk image in a fresh folder."""
    with progress.Step('image of a virtual machine'):
        folder.mkdir()
        root = folder / 'root'
        packages.unpack([_kernel(), *_TOOLS], packages.codename(), root)
        raw = folder / 'disk.raw'
        _boot_disk(raw, root, folder)
        progress.run('qemu-img', 'convert', '-c', '-O', 'qcow2', str(raw),
                     str(folder / 'disk.qcow2'))
        raw.unlink()
        progress.run('rm', '-rf', str(root))


def _kernel() -> str:
    """Name of the package that has the kernel itself."""
    packages.candidate(_KERNEL, refresh=True)
    text = progress.run('apt-cache', 'depends', _KERNEL)
    found = re.search(r'Depends: (linux-image-\S+)', text)
    if not found:
        raise progress.Failure(f'this machine has no package {_KERNEL}: '
                               '--with libvirt is for Debian on x86')
    return found.group(1)


def _boot_disk(raw: pathlib.Path, root: pathlib.Path,
               folder: pathlib.Path) -> None:
    """A FAT file system, without a partition table, that boots by BIOS."""
    initrd, config = folder / 'initrd.gz', folder / 'syslinux.cfg'
    initrd.write_bytes(gzip.compress(_initial_files(root)))
    config.write_text(_SYSLINUX)
    kernel = next(root.glob('boot/vmlinuz-*'))
    size = kernel.stat().st_size + initrd.stat().st_size
    with open(raw, 'wb') as file:
        file.truncate((size // _MIB + 6) * _MIB)
    env = {**os.environ, 'MTOOLS_SKIP_CHECK': '1', 'PATH': ':'.join(
        [f'{root}/usr/bin', f'{root}/usr/sbin', f'{root}/sbin',
         os.environ.get('PATH', '')])}
    for command in (
            ['mkfs.fat', str(raw)],
            ['mcopy', '-i', str(raw), str(kernel), '::vmlinuz'],
            ['mcopy', '-i', str(raw), str(initrd), str(config), '::'],
            ['syslinux', '--install', str(raw)]):
        progress.run(*command, env=env)
    for file in initrd, config:
        file.unlink()


def _initial_files(root: pathlib.Path) -> bytes:
    """The initial file system of the kernel, a cpio archive."""
    archive = Archive()
    for folder in ('bin', 'dev', 'etc', 'modules'):
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add('dev/console', stat.S_IFCHR | 0o600, device=(5, 1))
    binary = busybox.program()
    archive.add('bin/busybox', stat.S_IFREG | 0o755, binary.read_bytes())
    for name in busybox.applets(binary):
        if name != 'busybox':
            archive.add(f'bin/{name}', stat.S_IFLNK | 0o777, b'busybox')
    archive.add('init', stat.S_IFREG | 0o755, (_TREE / 'init').read_bytes())
    archive.add('etc/udhcpc.script', stat.S_IFREG | 0o755,
                busybox.DHCP_SCRIPT.encode())
    # The C library in it does not look up an address without.
    archive.add('etc/nsswitch.conf', stat.S_IFREG | 0o644,
                b'hosts: files dns\n')
    names = []
    for name, options in _MODULES.items():
        # Later distributions have them compressed.
        file = next(root.glob(f'**/kernel/**/{name}.ko*'))
        data = (subprocess.check_output(['xz', '-dc', str(file)])
                if file.suffix == '.xz' else file.read_bytes())
        archive.add(f'modules/{name}.ko', stat.S_IFREG | 0o644, data)
        names.append(f'{name}.ko {options}\n')
    archive.add('modules/list', stat.S_IFREG | 0o644, ''.join(names).encode())
    return archive.end()


class Archive:
    """A cpio archive in the format "newc", which the kernel unpacks.

    The kernel's Documentation/driver-api/early-userspace/
    buffer-format.rst has the format.
    """

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._count = 0

    def add(self, name: str, mode: int, data: bytes = b'',
            device: tuple[int, int] = (0, 0)) -> None:
        """Add a file of root's.

        :param mode: with its type; the data of a link is where it leads
        :param device: major and minor number of a device
        """
        self._count += 1
        encoded = name.encode() + b'\0'
        # Inode, mode, owner, group, links, time, size, device of the file
        # system, device, length of the name, checksum.
        fields = (self._count, mode, 0, 0, 1, 0, len(data), 0, 0, *device,
                  len(encoded), 0)
        header = b'070701' + b''.join(b'%08X' % each for each in fields)
        for part in header + encoded, data:
            self._buffer.write(part + b'\0' * (-len(part) % 4))

    def end(self) -> bytes:
        """Add the trailer; the whole archive."""
        self.add('TRAILER!!!', 0)
        return self._buffer.getvalue()
