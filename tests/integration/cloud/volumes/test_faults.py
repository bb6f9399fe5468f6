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

"""What may go wrong with volumes of servers, and what comes of it."""

import contextlib
import json
import os
import signal
import subprocess

from keystoneauth1 import exceptions
import openstack
import psutil

from evalcloud import settings
from evalcloud import supervisor
from tests.integration.cloud import base as cloud_base
from tests.integration.cloud.volumes import base

_MOUNTED = {'docker_mount_path': '/data'}


class FaultsTestCase(base.VolumesTestCase):
    """Nothing hangs, nothing is lost, and the server lives."""

    def setUp(self):
        super().setUp()
        self.server = self.create('faults')
        self.host = self.host_of(self.server)
        self.before = self.has(self.server)
        self.supervisor = supervisor.Supervisor(
            settings.load(cloud_base.state_dir()))

    def request(self, volume):
        """Ask for an attach that may not come to an end, or to no good."""
        return self.compute.create_volume_attachment(
            self.server, volume_id=volume.id)

    def record(self):
        """States of the server's volumes, as the driver knows them."""
        try:
            return [each['state'] for each in json.loads(
                self.host.volumes(self.server).read_text())]
        except FileNotFoundError:
            return []

    @contextlib.contextmanager
    def stopped(self, program):
        """Let a program and its workers do nothing inside the block."""
        first = psutil.Process(self.supervisor.pid(program))
        processes = [first, *first.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def complete(self, volume):
        """Tell Cinder that a volume is attached, as the documentation says.

        :returns: the attachment
        """
        found, = [each for each in self.volumes.attachments()
                  if each.volume_id == volume.id]
        self.volumes.complete_attachment(found)
        self.wait_volume(volume, 'in-use')
        return found

    def detached(self, volume):
        """Detach a volume, and see that the server is as it was."""
        self.detach(self.server, volume)
        self.wait_volume(volume, 'available')
        self.assert_becomes([], self.record)
        self.assertEqual(self.before, self.has(self.server))

    def assert_of_use(self, volume, command):
        """A volume is attached, a command succeeds, and it is detached."""
        self.attach(self.server, volume)
        self.assertEqual((0, ''), self.execute(
            self.server, 'sh', '-c', command))
        self.detached(volume)


class KilledTest(FaultsTestCase):
    """nova-compute gets SIGKILL, and its supervisor starts it again."""

    def test_while_it_attaches(self):
        """As it asks the engine for the container."""
        volume = self.volume()
        with self.host.hung('dockerd'):
            self.request(volume)
            cloud_base.wait_for('a device', self.connected)
            self.host.kill('nova-compute')
        self.complete(volume)
        self.detached(volume)
        self.assert_of_use(volume, 'echo kept > /dev/vdb')

    @cloud_base.long_only
    def test_while_it_makes_a_file_system(self):
        """As it reads all of a volume, to see that it is blank."""
        volume = self.volume(size=8, metadata=_MOUNTED)
        self.request(volume)
        cloud_base.wait_for('record', self.record)
        device, = self.connected()
        self.host.kill('nova-compute')
        # Root's daemon of before may be at work on it for longer than the
        # driver waits: then the next attach takes it out.
        cloud_base.wait_for('its end', lambda: self._is_free(device), 120)
        self.complete(volume)
        self.detach(self.server, volume)
        self.wait_volume(volume, 'available')
        self.assert_of_use(volume, 'echo kept > /data/file')
        self.assert_of_use(volume, 'grep -q kept /data/file')

    @staticmethod
    def _is_free(device):
        with contextlib.suppress(OSError):
            os.close(os.open(device, os.O_RDWR | os.O_EXCL))
            return True

    @cloud_base.long_only
    def test_while_it_detaches(self):
        """As Cinder ends the connection, which Nova does not hear of."""
        volume = self.volume()
        self.attach(self.server, volume)
        self.assertEqual(0, self.execute(
            self.server, 'sh', '-c', 'echo kept > /dev/vdb')[0])
        with self.stopped('cinder-volume'):
            self.compute.delete_volume_attachment(self.server, volume)
            self.assert_becomes([], self.record)
            self.host.kill('nova-compute')
        self.wait_volume(volume, 'available')
        self.assertEqual(1, len(list(self.compute.volume_attachments(
            self.server))))
        self.volumes.create_attachment(
            volume, instance=self.server.id,
            connector={'host': 'here', 'ip': '127.0.0.1'})
        made = self.complete(volume)
        self.compute.delete_volume_attachment(self.server, volume)
        self.assert_becomes([], lambda: list(
            self.compute.volume_attachments(self.server)))
        self.volumes.delete_attachment(made)
        self.wait_volume(volume, 'available')
        self.assertEqual(self.before, self.has(self.server))
        self.assert_of_use(volume, 'head -n 1 /dev/vdb | grep -q kept')


class StorageTest(FaultsTestCase):

    @cloud_base.long_only
    def test_device_is_gone(self):
        volume = self.volume()
        self.attach(self.server, volume)
        self._lose()
        self.assertNotEqual(0, self.execute(
            self.server, 'sh', '-c', 'echo lost > /dev/vdb')[0])
        self.detached(volume)
        self.assert_of_use(volume, 'echo kept > /dev/vdb')
        self.attach(self.server, volume)
        self._lose()
        self.delete(self.server)
        self.wait_volume(volume, 'available')

    def _lose(self):
        """As a storage does that loses a volume."""
        device, = self.connected()
        subprocess.check_call(['losetup', '--detach', device])
        self.assert_becomes([], self.connected)

    def test_cinder_is_killed(self):
        """In the middle of a request of nova-compute, which asks again."""
        volume = self.volume()
        with self.stopped('cinder-volume'):
            self.request(volume)
            self.wait_volume(volume, 'reserved')
            os.kill(self.supervisor.pid('cinder-api'), signal.SIGKILL)

        def ended():
            with contextlib.suppress(exceptions.ClientException):
                status = self.volumes.get_volume(volume.id).status
                return status in ('in-use', 'available') and status
        if cloud_base.wait_for('an end', ended, 180) == 'in-use':
            self.assertEqual(['attached'], self.record())
            self.detached(volume)
        self.assertEqual(self.before, self.has(self.server))
        self.assert_of_use(volume, 'echo kept > /dev/vdb')

    @cloud_base.long_only
    def test_full(self):
        volume = self.volume(metadata=_MOUNTED)
        with self.device(volume) as connection:
            subprocess.check_call(['mke2fs', '-q', '-t', 'ext4',
                                   connection['device_path'], '16M'])
        self.wait_volume(volume, 'available')
        self.attach(self.server, volume)
        status, said = self.execute(
            self.server, 'dd', 'if=/dev/zero', 'of=/data/full', 'bs=1M')
        self.assertNotEqual(0, status)
        self.assertIn('No space left', said)
        self.assertEqual(0, self.execute(
            self.server, 'sh', '-c', 'rm /data/full; echo > /data/file')[0])
        self.detached(volume)


class RefusedTest(FaultsTestCase):
    """The user has the volume back, and Nova tells administrators why."""

    def setUp(self):
        super().setUp()
        self.admin = openstack.connect(cloud='nova-docker')
        self.addCleanup(self.admin.close)

    def assert_refused(self, volume, reason):
        done = len(self._done())
        self.request(volume)
        event = cloud_base.wait_for(
            'an end', lambda: len(now := self._done()) > done and now[0], 120)
        self.assertEqual('Error', event['result'])
        self.assertIn(reason, event['details'])
        self.wait_volume(volume, 'available')
        self.assertEqual([], self.record())

    def _done(self):
        """What Nova tells of each attach that has ended."""
        path = f'/servers/{self.server.id}/os-instance-actions'

        def read(path):
            return self.admin.compute.get(path, microversion='2.84').json()
        return [event for each in read(path)['instanceActions']
                for event in read(f'{path}/{each["request_id"]}')[
                    'instanceAction']['events']
                if event['event'] == 'compute_attach_volume' and
                event['result']]

    def test_what_is_on_it(self):
        volume = self.volume(metadata=_MOUNTED)
        for prepare, reason in (
                ((b'\0' * 446 + b'\0\0\0\0\x83\0\0\0\0\x08\0\0\0\x40\0\0' +
                  b'\0' * 48 + b'\x55\xaa', 0), 'a partition table (dos)'),
                ((os.urandom(1 << 20), 1 << 20), 'has data on it'),
                ((os.urandom(1 << 20), 2048), 'damaged')):
            self._write(volume, *prepare)
            self.assert_refused(volume, reason)
        self.assertEqual(self.before, self.has(self.server))

    def _write(self, volume, data, offset):
        """Have a volume with nothing but what is said; at 2048, in an ext4."""
        with self.device(volume) as connection:
            path = connection['device_path']
            subprocess.check_call(['dd', 'if=/dev/zero', f'of={path}',
                                   'bs=1M', 'count=4', 'status=none'])
            if offset == 2048:
                subprocess.check_call(['mke2fs', '-q', '-t', 'ext4', path])
            with open(path, 'r+b') as device:
                device.seek(offset)
                device.write(data)
        self.wait_volume(volume, 'available')

    def test_name_in_use(self):
        self.execute(self.server, 'touch', '/dev/vdb')
        self.assert_refused(self.volume(), '/dev/vdb')
        self.assertEqual((0, ''), self.execute(
            self.server, 'cat', '/dev/vdb'))
