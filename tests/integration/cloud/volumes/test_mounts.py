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

"""Volumes whose file systems are mounted in servers."""

import subprocess

from evalcloud import settings
from tests.integration.cloud import base as cloud_base
from tests.integration.cloud.volumes import base


class MountsTest(base.VolumesTestCase):
    """The servers are on different hosts where there are several."""

    policy = 'anti-affinity'

    def keep(self, server):
        self.assertEqual((0, ''), self.execute(
            server, 'sh', '-c', 'echo kept > /data/file'))

    def assert_kept(self, server):
        self.assertEqual((0, 'kept\n'),
                         self.execute(server, 'cat', '/data/file'))

    def mebibytes(self, server):
        """Size of the file system."""
        return int(self.execute(server, 'df', '-Pm', '/data')[1].split()[-5])

    def test_moves_to_another_server(self):
        volume = self.volume(metadata={'docker_mount_path': '/data'})
        one, other = [self.wait_status(each, 'ACTIVE') for each in [
            self.build(name) for name in ('one', 'other')]]
        self.attach(one, volume)
        self.keep(one)
        self.detach(one, volume)
        self.wait_volume(volume, 'available')
        self.assertNotEqual(0, self.execute(
            one, 'test', '-e', '/data/file')[0])
        self.attach(other, volume)
        self.assert_kept(other)
        self.detach(other, volume)

    def test_of_a_snapshot(self):
        path = {'docker_mount_path': '/data'}
        volume, server = self.volume(metadata=path), self.create('first')
        self.attach(server, volume)
        self.keep(server)
        self.detach(server, volume)
        self.wait_volume(volume, 'available')
        copy = self.volume(snapshot_id=self.snapshot(volume).id,
                           metadata=path)
        second = self.create('second')
        self.attach(second, copy)
        self.assert_kept(second)
        self.detach(second, copy)

    def test_in_use(self):
        volume = self.volume(metadata={'docker_mount_path': '/data'})
        server = self.create('in-use')
        self.attach(server, volume)
        self.keep(server)
        self.execute(server, 'sh', '-c',
                     'sleep 9999 < /data/file > /dev/null 2>&1 &')
        self.compute.delete_volume_attachment(server, volume)
        self.assertEqual('Error', self.result(server, 'detach_volume'))
        self.wait_volume(volume, 'in-use')
        self.assert_kept(server)
        self.execute(server, 'sh', '-c', 'kill $(pidof sleep)')
        self.detach(server, volume)

    def test_extended_while_attached(self):
        """One with an XFS, which this machine may let grow if no ext4."""
        cloud = settings.load(cloud_base.state_dir())
        if cloud.volumes != 'loop':
            self.skipTest('volumes are no devices of this machine')
        volume = self.volume(metadata={'docker_mount_path': '/data'})
        with self.device(volume) as connection:
            subprocess.check_call(['mkfs.xfs', '-q',
                                   connection['device_path']])
        self.wait_volume(volume, 'available')
        server = self.create('extended')
        self.attach(server, volume)
        self.keep(server)
        self.assertLess(self.mebibytes(server), 1024)
        self.volumes.extend_volume(volume, 2)
        self.assert_becomes(True, lambda: self.mebibytes(server) > 1900, 120)
        self.wait_volume(volume, 'in-use')
        self.assert_kept(server)
        self.detach(server, volume)
