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

"""Servers that boot from volumes, and what they leave on these."""

import pathlib
import subprocess
import uuid

import fixtures

from tests.fixtures import loops
from tests.integration.cloud import base as cloud_base
from tests.integration.cloud.volumes import base

#: Of a partition of Linux, on all the disk but its first MiB.
_PARTITION = bytes(446) + bytes.fromhex(
    '80202100 83ffffff 00080000 00f80100') + bytes(48) + b'\x55\xaa'


def disk(source, found=None, **more):
    """A volume that Nova makes, or is given, for a server to boot from."""
    of = {'uuid': found.id} if found else {}
    return {'source_type': source, 'destination_type': 'volume',
            'boot_index': 0, 'delete_on_termination': False} | of | more


class BootTestCase(base.VolumesTestCase):

    def setUp(self):
        super().setUp()
        self.image = self.cloud.image.find_image('busybox')

    def upload(self, file, **formats):
        """An image; deleted at the end of the test."""
        image = self.cloud.create_image(uuid.uuid4().hex, filename=str(file),
                                        wait=True, **formats)
        self.addCleanup(self.cloud.image.delete_image, image)
        return image

    def boot(self, name, *disks, **options):
        """A server that is ACTIVE, with these volumes and no image."""
        return self.create(name, image=None,
                           block_device_mapping=list(disks), **options)

    def disks(self, server):
        """The volumes of a server, the one that it boots from first.

        They are deleted at the end of the test, if they are there.
        """
        made = sorted(self.compute.volume_attachments(server),
                      key=lambda each: each.device)
        made = [self.volumes.get_volume(each.volume_id) for each in made]
        for each in made:
            self.addCleanup(self._delete, each, self.volumes.delete_volume)
        return made

    def keep(self, server, path='/kept'):
        """Write what is to be found again, and leave it to the kernel."""
        self.assertEqual((0, ''), self.execute(
            server, 'sh', '-c', f'echo kept > {path}'))

    def assert_kept(self, server, path='/kept'):
        self.assertEqual((0, 'kept\n'), self.execute(server, 'cat', path))

    def assert_begins(self, server, device):
        """A device has what was kept on it."""
        self.assertEqual((0, 'kept\n'), self.execute(
            server, 'head', '-n', '1', device))

    def act(self, server, microversion, **action):
        """An action that openstacksdk asks for in an older version."""
        answer = self.compute.post(f'/servers/{server.id}/action',
                                   json=action, microversion=microversion)
        self.assertTrue(answer.ok, answer.text)


class BootTest(BootTestCase):

    def test_volumes_by_nova(self):
        server = self.boot(
            'by-nova',
            disk('image', self.image, volume_size=1,
                 delete_on_termination=True),
            disk('blank', volume_size=1, boot_index=-1))
        root, data = self.disks(server)
        self.assertTrue(root.is_bootable)
        self.keep(server)
        self.keep(server, '/dev/vdb')
        for kind in ('SOFT', 'HARD'):
            with self.another_start(server):
                self.compute.reboot_server(server, kind)
            self.assert_kept(server)
        self.delete(server)
        self.volumes.wait_for_delete(root, interval=1, wait=120)
        self.wait_volume(data, 'available')
        server = self.create('next')
        self.assert_begins(server, self.attach(server, data))

    def test_of_a_snapshot(self):
        volume = self.volume(image_id=self.image.id)
        server = self.boot('first', disk('volume', volume))
        self.keep(server)
        self.execute(server, 'sync')
        snapshot = self.snapshot(volume)
        second = self.boot('second', disk('snapshot', snapshot,
                                          delete_on_termination=True))
        copy, = self.disks(second)
        self.assertNotEqual(volume.id, copy.id)
        self.assert_kept(second)
        self.keep(second, '/second')
        self.assertNotEqual(0, self.execute(
            server, 'test', '-e', '/second')[0])
        self.delete(second)
        self.volumes.wait_for_delete(copy, interval=1, wait=120)
        self.assert_kept(server)

    def test_of_an_image_of_the_server(self):
        """What has been written is on it, though nothing was synced."""
        volume = self.volume(image_id=self.image.id)
        self.volumes.set_volume_image_metadata(volume,
                                               os_require_quiesce='true')
        server = self.boot('first', disk('volume', volume))
        self.keep(server)
        image = self.compute.create_server_image(server, uuid.uuid4().hex)
        self.addCleanup(self.cloud.image.delete_image, image.id)
        for snapshot in self.volumes.snapshots(volume_id=volume.id):
            self.addCleanup(self._delete, snapshot,
                            self.volumes.delete_snapshot)
            self.wait_available(snapshot)
        # Nova does not wait for its end.
        self.assert_becomes(
            False, lambda: self.container(server)['State']['Paused'])
        self.keep(server, '/afterwards')
        second = self.create('second', image=image.id)
        copy, = self.disks(second)
        self.assertNotEqual(volume.id, copy.id)
        self.assert_kept(second)
        self.assertNotEqual(0, self.execute(
            second, 'test', '-e', '/afterwards')[0])

    @cloud_base.long_only
    def test_rebuilt(self):
        volume = self.volume(image_id=self.image.id)
        server = self.boot('rebuilt', disk('volume', volume))
        self.keep(server)
        with self.another_start(server):
            self.act(server, '2.93', rebuild={'imageRef': self.image.id})
        self.assertNotEqual(0, self.execute(
            server, 'test', '-e', '/kept')[0])
        self.assertEqual([volume.id],
                         [each.id for each in self.disks(server)])

    @cloud_base.long_only
    def test_rescued(self):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.cloud.image.download_image(self.image,
                                        output=str(folder / 'image'))
        volume = self.volume(image_id=self.image.id)
        server = self.boot('rescued', disk('volume', volume))
        device = self.attach(server, self.volume())
        self.keep(server)
        self.keep(server, device)
        # Nova wants these two of it.
        image = self.upload(folder / 'image', container_format='docker',
                            disk_format='raw', hw_rescue_bus='virtio',
                            hw_rescue_device='disk')
        self.act(server, '2.87', rescue={'rescue_image_ref': image.id})
        self.wait_status(server, 'RESCUE')
        inside = f'nova-{server.id}-rescue'
        self.assert_kept(inside, '/mnt/kept')
        self.assert_begins(inside, device)
        self.keep(inside, '/mnt/mended')
        self.compute.unrescue_server(server)
        self.wait_status(server, 'ACTIVE')
        self.assert_kept(server)
        self.assert_kept(server, '/mended')
        self.assert_begins(server, device)

    @cloud_base.long_only
    def test_extended(self):
        volume = self.volume(image_id=self.image.id)
        server = self.boot('extended', disk('volume', volume))
        self.keep(server)
        self.volumes.extend_volume(volume, 2)
        if not loops.has_sys_resource():
            # It is grown at the next start.
            self.assertEqual('Error', self.result(server, 'extend_volume'))
            with self.another_start(server):
                self.compute.reboot_server(server, 'HARD')

        def large():
            size = self.execute(server, 'df', '-Pm', '/')[1].split()[-5]
            return int(size) > 1900
        self.assert_becomes(True, large, 120)
        self.wait_volume(volume, 'in-use')
        self.assert_kept(server)

    def test_disk_of_a_virtual_machine(self):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        raw = folder / 'raw'
        raw.write_bytes(_PARTITION + bytes(4 << 20))
        subprocess.check_call(['qemu-img', 'convert', '-f', 'raw', '-O',
                               'qcow2', raw, folder / 'qcow2'])
        for kind, reason in (
                ('raw', 'it has the formats bare/raw; containers need'),
                ('qcow2', 'a partition table (dos), as of the disk of a '
                          'virtual machine')):
            image = self.upload(folder / kind, container_format='bare',
                                disk_format=kind)
            volume = self.volume(image_id=image.id)
            server = self.wait_status(self.build(
                f'of-{kind}', image=None,
                block_device_mapping=[disk('volume', volume)]), 'ERROR')
            self.assertIn(reason, server.fault['message'])
            self.delete(server)
            self.wait_available(volume)
            with self.content(volume).open('rb') as file:
                self.assertEqual(_PARTITION, file.read(len(_PARTITION)))


class HostsTest(BootTestCase):
    """By the administrator, who may choose a server's host."""

    def setUp(self):
        self.useFixture(fixtures.EnvironmentVariable(
            'OS_CLOUD', 'nova-docker'))
        super().setUp()

    def test_boots_again_on_another_host(self):
        """On the same one where there is one only."""
        hosts = [f'nova:{name}' for name in self.hosts]
        volume = self.volume(image_id=self.image.id)
        server = self.boot('first', disk('volume', volume),
                           availability_zone=hosts[0])
        self.keep(server)
        self.delete(server)
        self.wait_volume(volume, 'available')
        server = self.boot('second', disk('volume', volume),
                           availability_zone=hosts[-1])
        self.assertEqual(hosts[-1], f'nova:{server.hypervisor_hostname}')
        self.assert_kept(server)
