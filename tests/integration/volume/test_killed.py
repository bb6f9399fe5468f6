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

"""nova-compute gets SIGKILL in the middle of an attach or a detach.

With a real engine, container and devices. Each nova-compute is a process of
its own, with root's functions in it: so these end in the middle, too.
"""

import itertools
import os
import subprocess
from unittest import mock
import uuid

import docker
import fixtures
from nova.compute import vm_states
import nova.conf
from nova import context
from nova.image import glance
from nova.network import model
from nova import objects
from nova import rpc
from nova.virt import fake as nova_fake
from nova.volume import cinder
import os_brick.privileged
import os_vif
from oslotest import base

from nova_docker import conf
from nova_docker import driver
from nova_docker.lifecycle import records
from nova_docker import privsep
from nova_docker.spec import names
from nova_docker.spec import volumes as spec
from tests.fixtures import busybox
from tests.fixtures import deaths
from tests.fixtures import dockerd
from tests.fixtures import loops
from tests.fixtures import volumes

CONF = nova.conf.CONF
#: Before which of the things that nova-compute does it is killed.
_EVERY = 1 if os.environ.get('NOVA_DOCKER_TEST_LONG') == '1' else 4
DEVICE = '/dev/vdb'
_CHECKSUM = '0' * 32


class Glance:
    """nova.image.glance.API of one image."""

    def get(self, context, image_id):
        return {'id': image_id, 'properties': {}}

    def download(self, context, image_id, *, data, trusted_certs):
        data.write(busybox.archive())


class BlockDeviceTest(base.BaseTestCase):

    metadata: dict[str, str] = {}
    #: What the server does with the volume.
    there = f'test -b {DEVICE}'
    write = f'echo kept > {DEVICE}'
    read = f'head -n 1 {DEVICE} | grep -q kept'

    def setUp(self):
        super().setUp()
        self.by_hand = docker.APIClient(
            base_url=dockerd.url(), version='auto')
        self.addCleanup(self.by_hand.close)
        self.loop = self.useFixture(loops.Loop(8 << 20))
        self.volume = str(uuid.uuid4())
        self.connection = volumes.connection(self.volume, self.loop.path)
        # Once, and not in each process.
        os_vif.initialize()
        self._patches()
        self._options()
        self.instance = self._instance()
        self.name = names.container_name(self.instance.uuid)
        self.compute(self._spawn)
        self.addCleanup(self._clean)
        self.rules = self._rules()

    def _patches(self):
        for rows in (objects.BlockDeviceMappingList, objects.ShareMappingList,
                     objects.VirtualInterfaceList):
            self.useFixture(fixtures.MockPatchObject(
                rows, 'get_by_instance_uuid', lambda *_: []))
        for target, name, value in (
                (objects.Instance, 'save', lambda *_: None),
                (glance, 'API', Glance),
                # No other host asks.
                (rpc, 'get_server', mock.Mock()),
                (cinder.API, 'get', lambda *_: {
                    'volume_metadata': self.metadata}),
                (privsep.sys_admin_pctxt, 'client_mode', False),
                (privsep.shares_pctxt, 'client_mode', False),
                (privsep.moves_pctxt, 'client_mode', False),
                (os_brick.privileged.default, 'client_mode', False)):
            self.useFixture(fixtures.MockPatchObject(target, name, value))

    def _options(self):
        CONF([], project='nova', default_config_files=[])
        # Or nothing of Nova's could be registered by other tests.
        self.addCleanup(CONF.reset)
        conf.register_opts(CONF)
        objects.register_all()
        self.state_dir = self.useFixture(fixtures.TempDir()).path
        for name, value in (
                ('url', dockerd.url()), ('state_dir', self.state_dir),
                ('cdi_spec_dir', self.by_hand.info()['CDISpecDirs'][0]),
                ('root_disk', 'unlimited'), ('start_hook_timeout', 60)):
            CONF.set_override(name, value, 'docker')
            self.addCleanup(CONF.clear_override, name, 'docker')

    def _instance(self):
        return objects.Instance(
            id=1, uuid=str(uuid.uuid4()), hostname='killed', project_id='p',
            host='killed', user_id='u', display_name='killed',
            image_ref=self.volume,
            flavor=objects.Flavor(
                vcpus=1, memory_mb=64, root_gb=1, ephemeral_gb=0, swap=0,
                extra_specs={}),
            system_metadata={}, metadata={}, trusted_certs=None,
            key_data=None, config_drive='', launched_at=None,
            vm_state=vm_states.ACTIVE, task_state=None,
            pci_requests=objects.InstancePCIRequests(requests=[]),
            info_cache=objects.InstanceInfoCache(
                network_info=model.NetworkInfo()))

    def compute(self, work, number=None):
        """Let a nova-compute start, work, and be killed; or not."""
        def start():
            made = driver.DockerDriver(nova_fake.FakeVirtAPI())
            made.init_host('killed')
            return made
        return deaths.survives(number, start, work)

    def _spawn(self, compute):
        compute.spawn(
            context.RequestContext(), self.instance, objects.ImageMeta(
                id=self.volume, disk_format='raw', container_format='docker',
                checksum=_CHECKSUM, properties=objects.ImageMetaProps(
                    os_command_line='sleep 100000')),
            [], None, {}, self.instance.get_network_info())

    def _clean(self):
        self.compute(lambda compute: compute.destroy(
            context.RequestContext(), self.instance,
            self.instance.get_network_info()))
        self.assertEqual([], self.mounts())
        self.assertEqual([], os.listdir(
            os.path.join(self.state_dir, 'instances')))
        self.by_hand.remove_image(names.image_reference(
            self.volume, _CHECKSUM))

    def attach(self, compute):
        compute.attach_volume(context.RequestContext(), self.connection,
                              self.instance, DEVICE)

    def detach(self, compute):
        compute.detach_volume(context.RequestContext(), self.connection,
                              self.instance, DEVICE)

    def mounts(self):
        """Where the host has volumes of this test mounted."""
        folder = os.path.join(self.state_dir, 'volumes')
        with open('/proc/self/mounts') as mounts:
            return [line.split()[1] for line in mounts
                    if folder in line or self.loop.path in line]

    def _rules(self):
        """What the server may do with devices, where that can be read."""
        pid = self.by_hand.inspect_container(self.name)['State']['Pid']
        with open(f'/proc/{pid}/cgroup') as groups:
            path = next((line.strip().split(':')[2] for line in groups
                         if ':devices:' in line), None)
        if path is None:
            return None
        with open(f'/sys/fs/cgroup/devices{path}/devices.list') as rules:
            return sorted(rules)

    def succeeds(self, command):
        """Whether a command in the server does."""
        made = self.by_hand.exec_create(self.name, ['sh', '-c', command])
        self.by_hand.exec_start(made['Id'])
        return not self.by_hand.exec_inspect(made['Id'])['ExitCode']

    def has(self):
        """Whether the server has the volume: wholly, or not at all."""
        known = records.find(self.state_dir, self.instance.uuid, self.volume)
        if known:
            self.assertEqual(spec.ATTACHED, known.state)
            self.assertTrue(self.succeeds(self.there))
            return True
        self.assertEqual([], self.mounts())
        self.assertEqual(self.rules, self._rules())
        self.assertFalse(self.succeeds(
            f'ls {DEVICE} || grep {self.loop.path} /proc/mounts'))
        # Nobody has it open, mounted, or as a part of something.
        os.close(os.open(self.loop.path, os.O_RDWR | os.O_EXCL))
        return False

    def kills(self, verb):
        """Let a verb be killed, before the things that it does."""
        for number in itertools.count(0, _EVERY):
            if self.compute(verb, number):
                # Else it was killed nowhere.
                self.assertGreater(number, 10)
                return
            yield

    def test_attach(self):
        for _killed in self.kills(self.attach):
            def after(compute):
                if not self.has():
                    self.attach(compute)
                self.assertTrue(self.has())
                self.assertTrue(self.succeeds(self.write))
                self.detach(compute)
                self.assertFalse(self.has())
            self.compute(after)
            self.blank()
        self.assertTrue(self.has())

    def blank(self):
        """Have it as it was at first, so that a file system is made again."""
        subprocess.run(['dd', 'if=/dev/zero', f'of={self.loop.path}',
                        'bs=1M', 'count=8'], check=True, capture_output=True)

    def test_detach(self):
        self.compute(self.attach)
        self.assertTrue(self.succeeds(self.write))
        for _killed in self.kills(self.detach):
            def after(compute):
                if self.has():
                    self.detach(compute)
                self.assertFalse(self.has())
                self.attach(compute)
                self.assertTrue(self.succeeds(self.read))
            self.compute(after)
        self.assertFalse(self.has())


class MountedTest(BlockDeviceTest):

    metadata = {'docker_mount_path': '/data'}
    there = 'grep " /data " /proc/mounts'
    write = f'{there} && echo kept > /data/it'
    read = f'{there} && grep -q kept /data/it'
