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

"""The life of a server, from create to delete."""

import io
import lzma
import tarfile

from backports import zstd

from tests.fixtures import archives
from tests.fixtures import busybox
from tests.functional import base


def layer():
    """The root filesystem of the image of busybox."""
    with tarfile.open(fileobj=io.BytesIO(busybox.archive())) as archive:
        member = next(member for member in archive
                      if member.name.endswith('layer.tar'))
        return archive.extractfile(member).read()


class ImagesTest(base.FunctionalTestCase):

    def boot_from(self, data, state='ACTIVE', **changes):
        self.image_id = self.add_image(data, 'bb', **changes)
        return self.boot(state)

    @base.one_nova
    def test_archive_with_zstd(self):
        server = self.boot_from(zstd.compress(busybox.archive()))
        self.assertIn('ready', self.console(server))
        self.delete(server)

    def root_filesystem(self, data, state='ACTIVE', **properties):
        return self.boot_from(
            data, state, container_format='bare',
            properties={'docker_image_type': 'rootfs'} | properties)

    def test_root_filesystem(self):
        server = self.root_filesystem(lzma.compress(layer()))
        self.assertIn('ready', self.console(server))
        # Made again from its image: the properties are in its metadata.
        self.engine.remove_container(self.container(server)['Id'])
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.assertIn('ready', self.console(server))
        self.delete(server)

    @base.one_nova
    def test_root_filesystem_that_names_no_command(self):
        server = self.root_filesystem(layer(), 'ERROR', os_command_line='')
        self.assertIn('name a command', self.fault(server))
        self.delete(server)

    @base.one_nova
    def test_root_filesystem_that_is_an_image_archive(self):
        server = self.root_filesystem(busybox.archive(), 'ERROR')
        self.assertIn('container_format docker', self.fault(server))
        self.delete(server)

    @base.one_nova
    def test_archive_that_is_a_root_filesystem(self):
        server = self.boot_from(layer(), 'ERROR')
        self.assertIn('docker_image_type=rootfs', self.fault(server))
        self.delete(server)

    def test_disks_of_virtual_machines(self):
        disk = b'QFI\xfb\0\0\0\3' + bytes(100000)
        server = self.boot_from(disk, 'ERROR')
        self.assertIn('disk image (qcow2)', self.fault(server))
        self.delete(server)
        self.image_id = self.add_image(
            disk, 'cc', container_format='bare', disk_format='qcow2')
        server = self.boot('ERROR')
        self.assertIn('bare/qcow2', self.fault(server))
        self.delete(server)

    @base.one_nova
    def test_no_platform_for_the_host(self):
        images = [([], archives.config([], architecture=name))
                  for name in ('s390x', 'ppc64le')]
        server = self.boot_from(archives.platforms(*images), 'ERROR')
        self.assertIn('linux/ppc64le, linux/s390x', self.fault(server))
        self.delete(server)
