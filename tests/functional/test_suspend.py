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

"""Suspend and resume, by Nova's API."""

import subprocess

import docker
import fixtures
from nova.compute import power_state
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.lifecycle import records
from nova_docker.network import plans
from nova_docker.spec import names
from nova_docker.spec import volumes
from nova_docker.volume import filesystem
from tests import engine_cases
from tests.functional import base
from tests.functional import volumes as volumes_base

#: Counts in memory only; what it counts is what goes on.
COUNT = ('sh -c "ip -o addr show dev eth0; i=0; trap \'exit 0\' TERM; '
         'while :; do i=$((i+1)); echo count $i; sleep 0.2; done"')


class Mixin:
    """A server that counts, on a host that suspends in a way."""

    suspend: str

    def setUp(self):
        super().setUp()
        self.flags(group='docker', suspend=self.suspend, criu='')
        self.compute = self.restart_compute_service(self.compute)
        self.image_id = self.add_image(
            self.glance._imagedata[self.image_id], 'count',
            properties={'os_command_line': COUNT})
        self.server = self.boot()
        self.console(self.server, 'count 3')

    def counted(self):
        """Where it is in counting."""
        lines = self.console(self.server, 'count').splitlines()
        return int(lines[-1].split()[-1])

    def runs(self):
        """Number of starts of its processes."""
        return self.console(self.server, 'count').split().count('1')

    def assert_goes_on(self, count):
        self.console(self.server, f'count {count + 3}')
        self.assertLess(count, self.counted())
        self.assertEqual(1, self.runs())

    def do_suspend(self):
        server = self.act(self.server, {'suspend': None}, 'SUSPENDED')
        self.assertEqual(power_state.SUSPENDED,
                         server['OS-EXT-STS:power_state'])

    def do_resume(self):
        self.act(self.server, {'resume': None}, 'ACTIVE')

    def addresses(self):
        """With their prefixes; the number of the interface is its host's."""
        return self.run_inside(
            "ip -o addr show dev eth0 scope global | awk '{print $4}'")

    def is_refused(self):
        self.api.post_server_action(self.server['id'], {'suspend': None})
        self._wait_for_server_parameter(
            self.server, {'status': 'ACTIVE', 'OS-EXT-STS:task_state': None})
        self.assert_goes_on(self.counted())

    def run_inside(self, command):
        return self.succeeds(self.server, command)


class CheckpointMixin(Mixin):

    suspend = 'checkpoint'

    def setUp(self):
        super().setUp()
        if not self.engine.info()['ExperimentalBuild']:
            self.skipTest('CRIU does not work here: tools/engine start '
                          '--checkpoints')


class CheckpointTest(CheckpointMixin, base.FunctionalTestCase):

    def test_life(self):
        self.run_inside('echo kept > /dev/shm/kept && echo kept > /kept')
        # More than CRIU takes if it is not told to.
        self.run_inside('dd if=/dev/zero of=/gone bs=1M count=2 2> /dev/null; '
                        'exec 3< /gone; rm /gone; '
                        'tail -f /dev/null > /dev/null 2>&1 &')
        addresses = self.addresses()
        count = self.counted()
        self.do_suspend()
        self.assertEqual('exited', self.container(self.server)[
            'State']['Status'])
        self.do_resume()
        self.assert_goes_on(count)
        self.assertEqual(addresses, self.addresses())
        self.run_inside('grep kept /kept /dev/shm/kept')
        self.run_inside('test ! -e /gone && test $(stat -L -c %s '
                        '/proc/$(pidof tail)/fd/3) = 2097152')
        # Again, from what was restored.
        count = self.counted()
        self.do_suspend()
        self.do_resume()
        self.assert_goes_on(count)
        self.delete(self.server)

    @base.one_nova
    def test_connection(self):
        """As to the metadata service, which cloud-init asks at each boot."""
        self.run_inside('nc -l -p 7777 -e cat & sleep 1; '
                        'sleep 1000 | nc 127.0.0.1 7777 &')
        self.wait_for_connection()
        self.do_suspend()
        self.do_resume()
        self.wait_for_connection()
        self.delete(self.server)

    def wait_for_connection(self):
        engine_cases.wait_until(lambda: 'ESTABLISHED' in self.run_inside(
            'netstat -tn'))

    def test_nova_compute_restarts(self):
        count = self.counted()
        self.do_suspend()
        self.compute = self.restart_compute_service(self.compute)
        self.assertEqual(power_state.SUSPENDED, self.api.get_server(
            self.server['id'])['OS-EXT-STS:power_state'])
        self.do_resume()
        self.assert_goes_on(count)
        self.delete(self.server)

    @base.one_nova
    def test_host_reboots(self):
        """Of which its network does not come back."""
        addresses = self.addresses()
        count = self.counted()
        self.do_suspend()
        self.compute.stop()
        subprocess.run(['umount', plans.netns_path(
            self.state_dir, self.server['id'])], check=True)
        engine_cases.wait_until(
            lambda: not self.leftovers()['links'] - self.before['links'])
        self.flags(resume_guests_state_on_host_boot=True)
        self.compute = self.restart_compute_service(self.compute)
        self.assertEqual('SUSPENDED', self.api.get_server(
            self.server['id'])['status'])
        self.do_resume()
        self.assert_goes_on(count)
        self.assertEqual(addresses, self.addresses())
        self.delete(self.server)

    @base.one_nova
    def test_hard_reboot_gives_it_up(self):
        self.do_suspend()
        self.act(self.server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.assertEqual([], self.engine.list_checkpoints(
            names.container_name(self.server['id'])))
        self.delete(self.server)

    @base.one_nova
    def test_by_hand(self):
        count = self.counted()
        self.do_suspend()
        self.assertRaises(docker.errors.APIError, self.by_hand.start,
                          names.container_name(self.server['id']))
        self.do_resume()
        self.assert_goes_on(count)
        self.delete(self.server)

    def test_deleted(self):
        self.do_suspend()
        self.delete(self.server)


class VolumesTest(CheckpointMixin, volumes_base.VolumesTestCase):

    def attach(self):
        self.api.post_server_volume(self.server['id'], {
            'volumeAttachment': {'volumeId': uuids.volume}})
        engine_cases.wait_until(lambda: [
            each.state for each in records.read(
                self.state_dir, self.server['id'])] == [volumes.ATTACHED])

    @base.one_nova
    def test_block_device(self):
        self.attach()
        self.is_refused()
        self.delete(self.server)

    def test_mounted(self):
        self.useFixture(fixtures.MockPatchObject(
            filesystem, 'metadata', lambda *_: {
                'docker_mount_path': '/data/it'}))
        self.attach()
        self.is_refused()
        self.act(self.server, {'os-stop': {}}, 'SHUTOFF')
        self.act(self.server, {'os-start': {}}, 'ACTIVE')
        self.run_inside('cd /data/it; echo kept > file; '
                        'sleep 1000 < file > /dev/null 2>&1 &')
        self.do_suspend()
        self.do_resume()
        self.run_inside('grep kept /data/it/file && pidof sleep && '
                        'echo more >> /data/it/file')
        self.delete(self.server)


class FreezeTest(Mixin, base.FunctionalTestCase):

    suspend = 'freeze'

    def test_life(self):
        count = self.counted()
        self.do_suspend()
        self.do_resume()
        self.assert_goes_on(count)
        self.do_suspend()
        self.delete(self.server)

    @base.one_nova
    def test_lost(self):
        self.do_suspend()
        self.engine.kill_container(names.container_name(self.server['id']))
        self.do_resume()
        self.delete(self.server)


class RefuseTest(Mixin, base.FunctionalTestCase):

    suspend = 'refuse'

    def test_refused(self):
        self.is_refused()
        self.delete(self.server)
