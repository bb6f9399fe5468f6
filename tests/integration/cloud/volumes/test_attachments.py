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

"""Volumes of servers: what one writes, another one reads."""

from evalcloud import settings
from tests.integration.cloud import base as cloud_base
from tests.integration.cloud.volumes import base

#: Attachments to one server, one after the other.
_CYCLES = 200 if cloud_base.LONG else 8


class AttachmentsTest(base.VolumesTestCase):
    """The servers are on different hosts where there are several."""

    policy = 'anti-affinity'

    def write(self, server, device, text):
        """Write a text to the begin of a device in a server."""
        self.assertEqual((0, ''), self.execute(
            server, 'sh', '-c', f'printf %s "{text}" > {device}'))

    def assert_reads(self, server, device, text):
        """A device in a server begins with a text."""
        self.assertEqual((0, text), self.execute(
            server, 'head', '-c', str(len(text)), device))

    def assert_absent(self, server, device):
        """A server has no device of this name."""
        self.assertNotEqual(0, self.execute(
            server, 'test', '-e', device)[0])

    def _two_servers(self):
        made = [self.build(name) for name in ('one', 'other')]
        return [self.wait_status(each, 'ACTIVE') for each in made]

    def test_moves_to_another_server(self):
        volume = self.volume()
        one, other = self._two_servers()
        device = self.attach(one, volume)
        self.write(one, device, 'from one')
        self.assert_absent(other, device)
        self.detach(one, volume)
        self.wait_volume(volume, 'available')
        self.assert_absent(one, device)
        device = self.attach(other, volume)
        self.assert_reads(other, device, 'from one')
        self.detach(other, volume)

    def test_several_servers_at_once(self):
        volume = self.volume(volume_type=settings.VOLUME_TYPES[1])
        one, other = self._two_servers()
        first, second = [self.attach(each, volume) for each in (one, other)]
        self.write(one, first, 'for both')
        self.assert_reads(other, second, 'for both')
        self.detach(one, volume)
        self.assert_absent(one, first)
        self.assert_reads(other, second, 'for both')
        self.detach(other, volume)

    def test_stays_over_a_reboot(self):
        volume, server = self.volume(), self.create('rebooted')
        device = self.attach(server, volume)
        self.write(server, device, 'before')
        with self.another_start(server):
            self.compute.reboot_server(server, 'HARD')
        self.assert_reads(server, device, 'before')
        self.compute.stop_server(server)
        self.wait_status(server, 'SHUTOFF')
        self.compute.start_server(server)
        self.wait_status(server, 'ACTIVE')
        self.assert_reads(server, device, 'before')
        self.detach(server, volume)
        self.assert_absent(server, device)

    def test_extended_while_attached(self):
        volume, server = self.volume(), self.create('extended')
        device = self.attach(server, volume)
        past = ('sh', '-c', f'dd if={device} bs=1M skip=1536 count=1 '
                            '2> /dev/null | wc -c')
        self.assertEqual((0, '0\n'), self.execute(server, *past))
        self.volumes.extend_volume(volume, 2)
        self.assert_becomes((0, f'{1 << 20}\n'),
                            lambda: self.execute(server, *past), 120)
        self.wait_volume(volume, 'in-use')
        self.detach(server, volume)

    def test_server_is_deleted(self):
        volume, server = self.volume(), self.create('deleted')
        self.write(server, self.attach(server, volume), 'kept')
        self.delete(server)
        self.wait_volume(volume, 'available')
        server = self.create('next')
        self.assert_reads(server, self.attach(server, volume), 'kept')
        self.detach(server, volume)

    def test_attached_while_shelved(self):
        volume, server = self.volume(), self.create('shelved')
        self.compute.shelve_server(server)
        self.wait_status(server, 'SHELVED_OFFLOADED')
        # It gets its name when it is connected.
        self.attach(server, volume)
        self.compute.unshelve_server(server)
        self.wait_status(server, 'ACTIVE')
        attached, = self.compute.volume_attachments(server)
        self.write(server, attached.device, 'unshelved')
        self.assert_reads(server, attached.device, 'unshelved')
        self.detach(server, volume)

    def test_cycles(self):
        def use(server, device, number):
            self.write(server, device, f'cycle {number}')
            self.assert_reads(server, device, f'cycle {number}')

        self.assert_cycles_leave_nothing(self.volume(), use)

    @cloud_base.long_only
    def test_cycles_mounted(self):
        """A file of the volume gets one line more each time."""
        def use(server, _device, number):
            self.assertEqual((0, f'{number + 1}\n'), self.execute(
                server, 'sh', '-c', 'echo >> /data/it; wc -l < /data/it'))

        self.assert_cycles_leave_nothing(
            self.volume(metadata={'docker_mount_path': '/data'}), use)

    def assert_cycles_leave_nothing(self, volume, use):
        """Attach and detach a volume many times.

        :param use: a function of server, device and the number of the cycle
        """
        server = self.create('cycles')
        before = self.has(server)
        for number in range(_CYCLES):
            use(server, self.attach(server, volume), number)
            self.assertNotEqual(before, self.has(server))
            self.detach(server, volume)
            self.wait_volume(volume, 'available')
            self.assertEqual(before, self.has(server))
            self.assertEqual([], self.connected())
