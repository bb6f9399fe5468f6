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

"""A host of the cloud that loses its power."""

import contextlib

import openstack

from evalcloud import processes
from tests.integration.cloud import base
from tests.integration.cloud.hosts import base as hosts_base
from tests.integration.cloud.volumes import base as volumes_base

#: Files of control groups of version 2, and of version 1.
_MEMORY = ('memory.max', 'memory/memory.limit_in_bytes')
_WEIGHT = ('cpu.weight', 'cpu/cpu.shares')


class PairTestCase(hosts_base.HostsTestCase):
    """Servers are on one host, and another one is there.

    :ivar source: the host that they are on, by test
    :ivar target: the other one
    """

    def setUp(self):
        super().setUp()
        self.target, self.source = list(self.hosts.values())[:2]
        self.service, = self.compute.services(
            binary='nova-compute', host=self.source.name)

    def on_source(self, name, **options):
        """A server to be, on the source."""
        return self.build(
            name, availability_zone=f'nova:{self.source.name}', **options)


class MovesTestCase(PairTestCase, volumes_base.VolumesTestCase):
    """With volumes."""

    def volume_with(self, **options):
        """A volume that Cinder has made of an image, as it is attached."""
        volume = self.volume(
            image_id=self.cloud.image.find_image('busybox').id)
        return dict(options, image=None, block_device_mapping=[{
            'uuid': volume.id, 'source_type': 'volume', 'boot_index': 0,
            'destination_type': 'volume'}])

    def keep(self, host, server, path='/kept'):
        """Write what is to be found again."""
        self.assertEqual((0, ''), host.execute(
            server, 'sh', '-c', f'echo kept > {path}; sync'))

    def assert_kept(self, host, server, path='/kept'):
        self.assertEqual((0, 'kept\n'), host.execute(server, 'cat', path))

    def run_in(self, host, server, command):
        """Output of a command of a shell, which succeeds."""
        status, output = host.execute(server, 'sh', '-c', command)
        self.assertEqual(0, status, output)
        return output

    def memory(self, host, server):
        """The bytes that its control group lets it have."""
        return self._limit(host, server, _MEMORY)

    def weight(self, host, server):
        """What its control group has of the processors, beside others."""
        return self._limit(host, server, _WEIGHT)

    def _limit(self, host, server, files):
        return int(self.run_in(host, server, ' || '.join(
            f'cat /sys/fs/cgroup/{file} 2> /dev/null' for file in files)))

    def crash(self):
        """End all that runs on the source, and what a boot does not find.

        Its switch goes on: it is part of the network.
        """
        self.addCleanup(self.boot)
        containers = [self.source.engine.inspect_container(each)['State']
                      for each in self.source.engine.containers(quiet=True)]
        self.source.stop('nova-compute')
        # Its supervisor starts it again: in between it can not be told not to.
        self.source.kill('dockerd')
        self.source.stop('dockerd')
        processes.end([*(state['Pid'] for state in containers),
                       *processes.of_folder(self.source.folder / 'engine')],
                      grace=0)
        self.source.clear()

    def boot(self):
        """Start all on the source again, and wait until it serves."""
        self.source.start('dockerd')
        base.wait_for('the engine', self.source.answers, 120)
        self.source.start('nova-compute')
        base.wait_for('nova-compute', self._is_up, 120)

    def host_of(self, server):
        """As of any test, also where a host is dead."""
        found = [host for host in self.hosts.values()
                 if host.answers() and host.containers(server)]
        self.assertEqual(1, len(found), server)
        return found[0]

    def _is_up(self):
        """Nova lets it be when it has removed what was evacuated."""
        with contextlib.suppress(openstack.exceptions.HttpException):
            self.compute.update_service_forced_down(
                self.service, forced=False)
        return self.compute_is('up')

    def compute_is(self, state):
        """Whether Nova takes the source's nova-compute for up, or down."""
        found, = self.compute.services(
            binary='nova-compute', host=self.source.name)
        return found.state == state
