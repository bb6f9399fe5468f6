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

"""Nova's own services in one process, on a real Docker Engine.

Real are nova-api, conductor, scheduler, compute and Placement, the driver,
the engine, the start hook, the veth pairs and the network namespaces. Nova's
fixtures stand for Neutron, Glance and Cinder; os-vif is only recorded, as
there is no Open vSwitch here. The tests run one at a time, for Nova's Neutron
fixture always hands out the same ports.
"""

import contextlib
import glob
import os
import socket
import subprocess
import time
import unittest

import docker
import fixtures
from nova.api.openstack import urlmap
import nova.conf
from nova.tests import fixtures as nova_fixtures
from nova.tests.functional.api import client as api_client
from nova.tests.functional import integrated_helpers
import os_vif
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker import conf
from nova_docker.engine import errors
from nova_docker.engine import session
from nova_docker.engine import transport
from nova_docker.privsep import disk
from nova_docker.spec import names
from tests import bootstrap
from tests.fixtures import busybox
from tests.fixtures import commands
from tests.fixtures import privsep
from tests.fixtures import uploads
from tests.fixtures import waits

#: Prints what the network looks like as its first act, and ends on SIGTERM.
COMMAND = ('sh -c "ip addr; ip route; echo ready; trap \'exit 0\' TERM; '
           'while :; do sleep 1 & wait $!; done"')
#: Of a test that asks nothing of Nova which others do not ask, but something
#: of the container, its image, the engine or the host: it runs with Nova's
#: newest release, and with each one where tests may take long.
one_nova = unittest.skipIf(
    bootstrap.nova_series() < 34 and
    os.environ.get('NOVA_DOCKER_TEST_LONG') != '1',
    'the release of Nova makes no difference')
_urlmap_factory = urlmap.urlmap_factory


def _without_old(loader, global_conf, **apps):
    """Nova's API, but not the one for clients from before its 2.1.

    Which nobody uses here, and to set it up takes as long.
    """
    del apps['/v2/+']
    return _urlmap_factory(loader, global_conf, **apps)


class FunctionalTestCase(integrated_helpers.ProviderUsageBaseTestCase):
    """One compute host, called host1, and an image of busybox."""

    compute_driver = 'docker.DockerDriver'

    def setUp(self):
        # The driver reads what this host is; nothing else does.
        self.useFixture(fixtures.MockPatchObject(
            nova_fixtures, 'SysFsPoisonFixture', fixtures.Fixture))
        self.useFixture(fixtures.MockPatchObject(
            urlmap, 'urlmap_factory', _without_old))
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.useFixture(waits.Waits())
        self.os_vif_plug = self.useFixture(fixtures.MockPatchObject(
            os_vif, 'plug', autospec=True)).mock
        self.os_vif_unplug = self.useFixture(fixtures.MockPatchObject(
            os_vif, 'unplug', autospec=True)).mock
        self.engine = session.Session(
            transport.Address(os.environ['DOCKER_HOST']))
        self.addCleanup(self.engine.close)
        self.by_hand = docker.APIClient(
            base_url=os.environ['DOCKER_HOST'], version='auto')
        self.addCleanup(self.by_hand.close)
        self.cdi_dir = self.engine.info()['CDISpecDirs'][0]
        self.state_dir = self.useFixture(fixtures.TempDir()).path
        conf.register_opts(nova.conf.CONF)
        self.flags(group='docker', url=os.environ['DOCKER_HOST'],
                   cdi_spec_dir=self.cdi_dir, state_dir=self.state_dir,
                   lxcfs_dir='', start_hook_timeout=20)
        self.flags(shutdown_timeout=10)
        if bootstrap.nova_series() >= 34:
            # Nova's own tests do not wait for the driver to clean the host
            # up; what follows that, in a thread, ends all pools of threads,
            # and were it late, those of the next tests. Nova 2026.1 has no
            # such thread, and sleeps for as long as this option says.
            self.flags(manager_shutdown_timeout=60)
        self.devices = {
            device for port in (self.neutron.port_1, self.neutron.port_2)
            for device in (names.host_device(port['id'], None),
                           names.parked_device(port['id']))}
        self.uploads = self.useFixture(uploads.Uploads(self.glance))
        self.before = self.leftovers()
        self.addCleanup(self._clean)
        self.image_id = self.add_image(busybox.archive())
        self.flavor_id = self.admin_api.post_flavor(
            {'flavor': {'name': 'small', 'id': '1001', 'vcpus': 1,
                        'ram': 64, 'disk': 1}})['id']
        self.compute = self._start_compute('host1')

    @property
    def driver(self):
        return self.compute.manager.driver

    def add_image(self, data, checksum='aa', **changes):
        """Put an image into Glance's fixture; its id."""
        properties = {'os_command_line': COMMAND,
                      'img_hv_type': 'docker'} | changes.pop('properties', {})
        image = self.glance.create(None, {
            **self.glance.image1, 'id': getattr(uuids, f'image{checksum}'),
            'name': 'busybox', 'container_format': 'docker',
            'disk_format': 'raw', 'size': len(data), 'checksum': checksum,
            'properties': properties, **changes})
        self.glance._imagedata[image['id']] = data
        return image['id']

    def boot(self, state='ACTIVE', networks=None, **changes):
        """Create a server and wait for a state."""
        server = self._build_server(
            image_uuid=self.image_id, flavor_id=self.flavor_id,
            networks=networks or [{'port': self.neutron.port_1['id']}])
        server = self.api.post_server({'server': server | changes})
        return self._wait_for_state_change(server, state)

    def act(self, server, action, state):
        """Do a server action and wait for a state without a task.

        Nova may be at something of its own meanwhile, such as stopping a
        server whose container ended.
        """
        for last in [False] * 100 + [True]:
            try:
                self.api.post_server_action(server['id'], action)
                break
            except api_client.OpenStackApiException as error:
                if last or error.response.status_code != 409:
                    raise
                time.sleep(0.1)
        return self._wait_for_server_parameter(
            server, {'status': state, 'OS-EXT-STS:task_state': None})

    def _wait_for_server_parameter(self, server, expected_params,
                                   max_retries=10, **options):
        # Nova's five seconds are for fake drivers on an idle machine.
        return super()._wait_for_server_parameter(
            server, expected_params, max(max_retries, 120), **options)

    def run_in(self, server, command):
        """Exit status and output of a command in a server."""
        return commands.run(
            self.by_hand, names.container_name(server['id']),
            ['sh', '-c', command])

    def succeeds(self, server, command):
        """The output of a command in a server, which must not fail."""
        status, output = self.run_in(server, command)
        self.assertEqual(0, status, output)
        return output

    def fault(self, server):
        """Message of the server's fault."""
        return self.api.get_server(server['id'])['fault']['message']

    def container(self, server):
        """The engine's inspection of the server's container."""
        return self.engine.inspect_container(
            names.container_name(server['id']))

    def console(self, server, expected='ready'):
        """The console log, once it has a line."""
        output = ''
        for _ in range(600):
            output = self.api.post_server_action(
                server['id'], {'os-getConsoleOutput': {}})['output']
            if expected in output:
                break
            time.sleep(0.1)
        return output

    def delete(self, server):
        """Delete a server and see that it left nothing."""
        self.api.delete_server(server['id'])
        self._wait_until_deleted(server)
        self.assert_nothing_left()

    def assert_nothing_left(self):
        self.assertEqual(self.before, self.leftovers())

    def leftovers(self):
        """All that a server may leave on the host."""
        with open('/proc/self/mounts') as mounts:
            held = {line.split()[1] for line in mounts
                    if self.state_dir in line}
        return {
            'containers': {
                name for container in self.engine.list_containers([])
                for name in container['Names']},
            'links': {link for _, link in socket.if_nameindex()
                      if link in self.devices},
            'cdi': self._listed(self.cdi_dir),
            'mounts': held,
            'disks': self._listed(os.path.join(self.state_dir, 'disks')),
            'loops': self.loops(),
            'snapshots': {
                tag for image in self.engine.list_images(
                    [names.SNAPSHOT_REPOSITORY + '/*'])
                for tag in image['RepoTags']},
            'state': self._listed(os.path.join(self.state_dir, 'instances')),
        }

    def loops(self):
        """The files of this host's disks that are held by a loop device."""
        found = set()
        for path in glob.glob('/sys/block/loop*/loop/backing_file'):
            # Other tests' end meanwhile.
            with contextlib.suppress(OSError), open(path) as backing:
                found.add(backing.read().strip())
        return {image for image in found if self.state_dir in image}

    @staticmethod
    def _listed(directory):
        return (set(os.listdir(directory)) if os.path.isdir(directory)
                else set())

    def _clean(self):
        """Leave nothing, also of a test that failed."""
        for container in self.engine.list_containers([names.LABEL_INSTANCE]):
            with contextlib.suppress(errors.NotFound):
                self.engine.remove_container(container['Id'])
        for image in self.engine.list_images(
                [names.IMAGE_REPOSITORY + '/*',
                 names.SNAPSHOT_REPOSITORY + '/*']):
            for tag in image['RepoTags'] or ():
                with contextlib.suppress(errors.NotFound):
                    self.engine.remove_image(tag)
        for image in self.loops():
            disk.remove(image)
        left = self.leftovers()
        for path in left['mounts']:
            subprocess.run(['umount', '-l', path], check=True)
        for name in left['cdi'] - self.before['cdi']:
            os.unlink(os.path.join(self.cdi_dir, name))
        for link in left['links'] - self.before['links']:
            subprocess.run(['ip', 'link', 'del', link], check=False)
