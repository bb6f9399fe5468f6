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

"""What the tests share in which nova-compute gets SIGKILL.

With a real engine, container and devices. Each nova-compute is a process of
its own, with root's functions in it: so these end in the middle, too.
"""

import itertools
import math
import os
import uuid
import zlib

import docker
import fixtures
from nova.compute import vm_states
import nova.conf
from nova import context
from nova.image import glance
from nova.network import model
from nova import objects
from nova.virt import fake as nova_fake
from nova.volume import cinder
import os_brick.privileged
import os_vif
from oslotest import base

from nova_docker import conf
from nova_docker import driver
from nova_docker import privsep
from nova_docker.spec import names
from tests.fixtures import bus
from tests.fixtures import busybox
from tests.fixtures import commands
from tests.fixtures import deaths

CONF = nova.conf.CONF
#: Whether each case is tried, and not just some of them.
LONG = os.environ.get('NOVA_DOCKER_TEST_LONG') == '1'
WHY = 'only with NOVA_DOCKER_TEST_LONG=1'
_CHECKSUM = '0' * 32
#: Ends on SIGTERM, for which an engine waits that was killed and starts again.
_COMMAND = 'sh -c "trap exit TERM; sleep 100000 & wait"'


class Glance:
    """nova.image.glance.API of one image."""

    def get(self, context, image_id):
        return {'id': image_id, 'checksum': _CHECKSUM, 'properties': {}}

    def download(self, context, image_id, *, data, trusted_certs):
        data.write(busybox.archive())


class KilledTestCase(base.BaseTestCase):
    """Of one instance.

    :cvar metadata: of each of its volumes
    :cvar some: about as many kills of a verb are enough
    :ivar info: its block_device_info; None without
    :ivar image: the id of its image
    :ivar host: the name of the host that the next nova-compute is on
    :ivar by_hand: docker.APIClient of the engine there
    :ivar state_dir: its [docker]state_dir
    :ivar said: of the last command in the server, with each part of it
    """

    metadata: dict[str, str] = {}
    some = 5
    host = 'killed'
    by_hand = None
    info = None
    ephemeral_gb = 0

    def setUp(self):
        super().setUp()
        self.image = str(uuid.uuid4())
        self.addCleanup(self._close)
        # Once, and not in each process.
        os_vif.initialize()
        objects.register_all()
        self.useFixture(bus.Bus())
        self._patches()
        CONF([], project='nova', default_config_files=[])
        # Or nothing of Nova's could be registered by other tests.
        self.addCleanup(CONF.reset)
        conf.register_opts(CONF)
        self.instance = self._instance()
        self.name = names.container_name(self.instance.uuid)

    def _patches(self):
        for rows in (objects.BlockDeviceMappingList, objects.ShareMappingList,
                     objects.VirtualInterfaceList):
            self.useFixture(fixtures.MockPatchObject(
                rows, 'get_by_instance_uuid', lambda *_: []))
        for target, name, value in (
                (objects.Instance, 'save', lambda *_, **__: None),
                (objects.Instance, 'get_by_uuid', lambda *_, **__:
                    self.instance),
                (glance, 'API', Glance),
                (cinder.API, 'get', lambda *arguments: {
                    'volume_metadata': self.volume_metadata(arguments[-1])}),
                (privsep.sys_admin_pctxt, 'client_mode', False),
                (privsep.shares_pctxt, 'client_mode', False),
                (privsep.moves_pctxt, 'client_mode', False),
                (os_brick.privileged.default, 'client_mode', False)):
            self.useFixture(fixtures.MockPatchObject(target, name, value))

    def volume_metadata(self, volume_id):
        """What its users have noted with a volume."""
        return self.metadata

    def on(self, url, state_dir):
        """Let the nova-computes from now on use an engine."""
        self._close()
        self.by_hand = docker.APIClient(base_url=url, version='auto')
        self.state_dir = state_dir
        self.cdi_dir = self.by_hand.info()['CDISpecDirs'][0]
        for name, value in (
                ('url', url), ('state_dir', state_dir),
                ('root_disk', 'unlimited'), ('cdi_spec_dir', self.cdi_dir),
                ('lxcfs_dir', ''),
                ('start_hook_timeout', 60)):
            CONF.set_override(name, value, 'docker')
            self.addCleanup(CONF.clear_override, name, 'docker')

    def _close(self):
        if self.by_hand:
            self.by_hand.close()

    def _instance(self):
        return objects.Instance(
            id=1, uuid=str(uuid.uuid4()), hostname='killed', project_id='p',
            host=self.host, user_id='u', display_name='killed',
            image_ref=self.image, flavor=self.flavor(),
            system_metadata={
                'image_disk_format': 'raw', 'image_container_format': 'docker',
                'image_os_command_line': _COMMAND},
            metadata={}, trusted_certs=None, numa_topology=None,
            key_data=None, config_drive='', launched_at=None,
            deleted=False, vm_state=vm_states.ACTIVE, task_state=None,
            pci_requests=objects.InstancePCIRequests(requests=[]),
            info_cache=objects.InstanceInfoCache(
                network_info=model.NetworkInfo()))

    def flavor(self, memory_mb=64):
        return objects.Flavor(
            flavorid=str(memory_mb), vcpus=1, memory_mb=memory_mb, root_gb=1,
            ephemeral_gb=self.ephemeral_gb, swap=0, extra_specs={})

    def start(self):
        """Start a nova-compute, in this process."""
        made = driver.DockerDriver(nova_fake.FakeVirtAPI())
        made.init_host(self.host)
        return made

    def compute(self, work, number=None):
        """Let a nova-compute start, work, and be killed; or not."""
        return deaths.survives(number, self.start, work)

    @property
    def network_info(self):
        return self.instance.get_network_info()

    @property
    def image_meta(self):
        return objects.ImageMeta(
            id=self.image, disk_format='raw', container_format='docker',
            checksum=_CHECKSUM, properties=objects.ImageMetaProps(
                os_command_line=_COMMAND))

    def spawn(self, compute):
        compute.spawn(context.RequestContext(), self.instance,
                      self.image_meta, [], None, {}, self.network_info,
                      self.info)

    def destroy(self, compute):
        compute.destroy(context.RequestContext(), self.instance,
                        self.network_info)

    def remove_image(self):
        self.by_hand.remove_image(names.image_reference(
            self.image, _CHECKSUM))

    def succeeds(self, command):
        """Whether a command in the server does."""
        status, self.said = commands.run(
            self.by_hand, self.name, ['sh', '-xc', command])
        return not status

    def kills(self, verb, least):
        """Let a verb be killed, before the things that it does.

        Some of them, which are others in each test; or all.

        :param least: things that it does for sure; with less the test is none
        """
        every = 1 if LONG else math.ceil(least / self.some)
        begin = zlib.crc32(self.id().encode()) % every
        for number in itertools.count(begin, every):
            if self.compute(verb, number):
                self.assertGreaterEqual(number, least)
                return
            yield
