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


"""What the tests of the verbs share: an instance on a fake host."""

import concurrent.futures
import os
import threading

import fixtures
from glanceclient.common import http
from nova.compute import vm_states
from nova import context as nova_context
from nova.image import glance
from nova.network import model
from nova import objects
from nova import test
from oslo_utils.fixture import uuidsentinel as uuids
import tenacity

from nova_docker.network import plans
from nova_docker.spec import names
from tests.fixtures import archives
from tests.fixtures import compute
from tests.fixtures import starts

#: Kernel and engine calls that change something. set_down is not of them, as
#: the event of each end of a container makes one, at any time after; nor is
#: delete_pair, which goes with unplug.
CHANGES = frozenset((
    'make_pair', 'plug', 'unplug', 'configure', 'hold',
    'release', 'take_back', 'load_image', 'create_container',
    'start_container', 'stop_container', 'pause_container',
    'unpause_container', 'remove_container'))


class FakeGlance:
    """The part of nova.image.glance.API that loads and snapshots need.

    :ivar on_read: called with the number of bytes of an upload so far
    :ivar uploads: by image id, what was uploaded, as a whole
    :ivar updates: by image id, what else was told of it
    :ivar deleted: ids of images
    """

    def __init__(self):
        self.data = archives.docker25([archives.layer(('hello', b'#!'))])
        self.properties = {}
        self.on_read = lambda size: None
        self.uploads = {}
        self.updates = {}
        self.deleted = []

    def get(self, context, image_id):
        return {'id': image_id, 'checksum': 'aa', 'disk_format': 'raw',
                'container_format': 'docker', 'size': len(self.data),
                'properties': dict(self.properties)}

    def update(self, context, image_id, image_info, data, purge_props):
        self.updates[image_id] = dict(image_info, purge_props=purge_props)
        content = bytearray()
        # The part of glanceclient that reads it.
        for piece in http._BaseHTTPClient._chunk_body(data):
            content += piece
            self.on_read(len(content))
        self.uploads[image_id] = bytes(content)
        return {'id': image_id, 'size': len(content)}

    def delete(self, context, image_id):
        self.deleted.append(image_id)

    def download(self, context, image_id, *, data, trusted_certs):
        data.write(self.data)


def make_vif(port):
    """A port of Open vSwitch as Nova's network model has it."""
    return model.VIF(
        id=port, address='fa:16:3e:00:00:01', type='ovs', details={},
        devname=f'tap{port[:11]}', active=True, network=model.Network(
            id=uuids.network, bridge='br-int', label='private', mtu=1442,
            subnets=[model.Subnet(
                cidr='192.0.2.0/24', dns=[], routes=[], version=4,
                gateway=model.IP(address='192.0.2.1', type='gateway'),
                ips=[model.FixedIP(address='192.0.2.5')])]))


def make_instance(**changes):
    """An instance with all that the driver reads of one."""
    flavor = objects.Flavor(
        flavorid='1', vcpus=1, memory_mb=64, swap=0, root_gb=1,
        ephemeral_gb=0, extra_specs={})
    return objects.Instance(**(dict(
        id=1, uuid=uuids.instance, project_id='p', hostname='web',
        host='host1',
        deleted=False, vm_state=vm_states.ACTIVE, task_state=None,
        image_ref=uuids.image, flavor=flavor, trusted_certs=None,
        system_metadata={'image_disk_format': 'raw',
                         'image_container_format': 'docker'},
        metadata={}, key_data=None, numa_topology=None,
        migration_context=None,
        config_drive='', launched_at=None, display_name='web',
        info_cache=objects.InstanceInfoCache(network_info=model.NetworkInfo(
            [make_vif(uuids.port)])),
        pci_requests=objects.InstancePCIRequests(requests=[])) | changes))


class LifecycleTestCase(test.NoDBTestCase):
    """One host with one instance, which is not spawned yet.

    :ivar info: its block_device_info; None where Nova gives none
    """

    info = None

    def setUp(self):
        super().setUp()
        self.compute = self.useFixture(compute.Compute())
        self.engine = self.compute.engine
        self.kernel = self.compute.kernel
        self.glance = FakeGlance()
        self.useFixture(fixtures.MockPatchObject(
            glance, 'API', lambda: self.glance))
        # Starts are tried again without a pause.
        self.useFixture(fixtures.MockPatchObject(
            tenacity, 'wait_fixed', lambda _seconds: tenacity.wait_none()))
        self.driver = self.compute.driver()
        self.context = nova_context.get_admin_context()
        self.instance = make_instance()
        self.network_info = self.instance.get_network_info()
        self.image_meta = objects.ImageMeta.from_dict({
            'id': uuids.image, 'checksum': 'aa', 'disk_format': 'raw',
            'container_format': 'docker', 'size': len(self.glance.data),
            'properties': {}})

    @property
    def services(self):
        return self.driver._services

    def spawn(self, power_on=True, injected_files=(), password=None):
        self.driver.spawn(
            self.context, self.instance, self.image_meta, injected_files,
            password, {}, self.network_info, self.info or {}, power_on)

    def spawned(self, *then):
        """Spawn, call some verbs, and forget the steps until here."""
        self.spawn()
        for verb, *args in then:
            verb(*args)
        self.compute.steps.clear()

    def power_off(self):
        self.driver.power_off(self.instance, 0)

    def power_on(self):
        self.driver.power_on(self.context, self.instance, self.network_info,
                             self.info)

    def reboot(self, kind='HARD'):
        self.driver.reboot(
            self.context, self.instance, self.network_info, kind, self.info)

    def destroy(self):
        self.driver.destroy(self.context, self.instance, self.network_info)

    def in_thread(self, function, *args):
        """Call a function in a thread; the future of its result."""
        future = concurrent.futures.Future()

        def call():
            try:
                future.set_result(function(*args))
            except Exception as error:
                future.set_exception(error)

        threading.Thread(target=call, daemon=True).start()
        return future

    def foreign_start(self):
        """Start the container as Nova does not; the future of its end."""
        return self.in_thread(
            self.engine.start_container, self.container['Id'], 10)

    def wait_for_hooks(self):
        """Wait until a start waits in the gate."""
        starts.wait_until(lambda: self.services.gate._waiting)

    def steps(self, wanted=CHANGES):
        """The names of the steps so far, of those that are asked for."""
        return [name for name, _args in list(self.compute.steps)
                if name in wanted]

    @property
    def container(self):
        """The instance's container as a list has it, None without."""
        return next(iter(self.engine.list_containers(
            [], [names.container_name(self.instance.uuid)])), None)

    @property
    def state(self):
        return self.container['State']

    def foreign_container(self, name='foreign', labels=None):
        """A container that is not of the instance; its id."""
        reference, = self.engine.list_images([])[0]['RepoTags']
        return self.engine.create_container(
            name, {'Image': reference, 'Labels': labels or {}})

    def assert_nothing_left(self):
        """Nothing of the instance is on the host, and nobody remembers."""
        self.assertIsNone(self.container)
        self.assertEqual({}, self.kernel.pairs)
        self.assertEqual(set(), self.kernel.plugged)
        self.assertEqual([], os.listdir(self.compute.cdi_dir))
        self.assertEqual(set(), plans.instances(self.compute.state_dir))
        self.assertEqual({}, self.services.undone)
