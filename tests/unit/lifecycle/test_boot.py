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

"""Instances that boot from a volume."""

import errno
import gzip
import json
import os

from nova import exception
from nova import objects
from oslo_concurrency import processutils
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.lifecycle import records
from nova_docker.spec import names
from nova_docker.spec import volumes as spec
from nova_docker.volume import device
from nova_docker.volume import rootfs
from tests.fixtures import archives
from tests.fixtures import roots
from tests.fixtures import volumes
from tests.unit.lifecycle import base

VOLUME = '/dev/loop1'
STEPS = frozenset((
    'load_image', 'create_container', 'start_container', 'stop_container',
    'remove_container', 'root_make', 'root_attach', 'root_release',
    'volume_connect', 'volume_disconnect'))
LAYER = archives.layer(('hello', b'#!'))
CONFIG = {'Cmd': ['/hello'], 'Env': ['A=b'], 'Labels': {
    names.LABEL_HOST: 'host1', names.LABEL_INSTANCE: uuids.other}}
ARCHIVE = archives.docker25([LAYER], archives.config([LAYER], config=CONFIG))
DOCUMENT = json.dumps({'architecture': 'amd64', 'os': 'linux',
                       'config': {'Cmd': ['/hello']}}).encode()


class BootTestCase(base.LifecycleTestCase):
    """An instance with a root volume that Cinder has made of an image."""

    def setUp(self):
        super().setUp()
        self.roots = self.compute.roots
        self.volumes = self.compute.volumes
        self.roots.written(VOLUME, ARCHIVE)
        self.instance.image_ref = ''
        self.image_meta = objects.ImageMeta.from_dict(
            {'size': 1 << 30, 'status': 'active', 'properties': {}})
        self.info = {'block_device_mapping': [{
            'mount_device': '/dev/vda', 'boot_index': 0,
            'connection_info': volumes.connection(uuids.volume, VOLUME)}]}

    def spawn(self, instance=None):
        self.driver.spawn(
            self.context, instance or self.instance, self.image_meta, (),
            None, {}, self.network_info, self.info, True)

    def root(self, uuid=uuids.instance):
        return records.root(self.compute.state_dir, uuid)

    def assert_refused(self, *reasons):
        before = dict(self.roots.data), dict(self.roots.documents)
        error = self.assertRaises(exception.BuildAbortException, self.spawn)
        for reason in reasons:
            self.assertIn(reason, error.format_message())
        self.assertEqual(
            before, (self.roots.data, self.roots.documents))
        self.assert_nothing_of_it()

    def assert_nothing_of_it(self):
        self.assertEqual(set(), self.compute.volumes.connected)
        self.assertEqual({}, self.roots.mounted)
        self.assertEqual([], self.engine.list_containers([]))
        self.assert_nothing_left()


class FirstBootTest(BootTestCase):

    def test_spawn(self):
        self.spawn()
        self.assertEqual('running', self.state)
        self.assertEqual({VOLUME: f'/layers/{self.container["Id"]}'},
                         self.roots.mounted)
        self.assertEqual({VOLUME}, self.roots.protected)
        found = json.loads(self.roots.documents[VOLUME])
        self.assertEqual((['/hello'], ['A=b']),
                         (found['config']['Cmd'], found['config']['Env']))
        container, = self.engine.list_containers([])
        self.assertEqual('volume',
                         container['Labels'][names.LABEL_ROOT_DISK])
        self.assertEqual(uuids.instance,
                         container['Labels'][names.LABEL_INSTANCE])
        inspected = self.engine.inspect_container(container['Id'])
        self.assertEqual(['/hello'], inspected['Config']['Cmd'])
        self.assertEqual(
            ['volume_connect', 'load_image', 'create_container', 'root_make',
             'remove_container', 'load_image', 'create_container',
             'root_attach', 'start_container'],
            self.steps(STEPS))

    def test_it_is_no_device(self):
        self.spawn()
        with open(os.path.join(self.compute.cdi_dir, names.cdi_file(
                uuids.instance))) as file:
            self.assertNotIn('deviceNodes', json.load(file)['devices'][0][
                'containerEdits'])
        self.assertEqual(spec.ATTACHED, self.root().state)

    def test_the_layers_of_the_container_that_never_ran(self):
        self.spawn()
        (_device, place, layers, _document), = [
            args for name, args in self.compute.steps if name == 'root_make']
        self.assertIn(uuids.instance, place)
        self.assertTrue(layers[0].endswith('/diff'))

    def test_labels_of_the_image_mean_nothing(self):
        self.spawn()
        bodies = {name: body for step, (name, body) in [
            (step, args) for step, args in self.compute.steps
            if step == 'create_container']}
        labels = bodies[names.source_name(uuids.instance)]['Labels']
        self.assertLess({names.LABEL_HOST, names.LABEL_INSTANCE},
                        labels.keys())
        self.assertEqual({''}, set(labels.values()))

    def test_root_filesystem(self):
        data = archives.layer(('bin/sh', b'#!'))
        self.roots.written(VOLUME, data, container_format='bare',
                           docker_image_type='rootfs')
        self.instance.system_metadata |= {
            'image_docker_image_type': 'rootfs',
            'image_docker_command': '["sh"]'}
        self.spawn()
        self.assertEqual('running', self.state)

    def test_image_in_a_registry_is_that_of_glance(self):
        self.glance.properties = {'docker_image_ref': 'not:a:reference'}
        self.roots.written(VOLUME, b'{}', docker_image_ref='r.example/x')
        error = self.assertRaises(exception.ImageUnacceptable, self.spawn)
        self.assertIn('not:a:reference', error.format_message())
        self.assertEqual(b'{}', self.roots.data[VOLUME])

    def test_refused(self):
        qcow2 = b'QFI\xfb' + (3).to_bytes(4, 'big') + bytes(1 << 20)
        for data, found, reason in (
                (bytes(512), {}, 'nothing where it begins'),
                (b'x' * 512, {}, 'unknown data'),
                (qcow2, {}, 'disk (qcow2)'),
                (bytes(512), {'PTTYPE': 'gpt'}, 'partition table (gpt)'),
                (bytes(512), {'TYPE': 'xfs'}, '(xfs)'),
                (bytes(512), {'TYPE': 'ext4', 'LABEL': 'mine'}, '(ext4)')):
            self.roots.data[VOLUME] = data
            self.volumes.contents[VOLUME] = found
            self.assert_refused(reason)

    def test_not_made_of_what_is_on_it(self):
        for change in ({'checksum': 'aa'}, {'size': '17'}, {'size': 'x'},
                       {'size': str(2 << 30)}, {'size': '-1'}):
            self.roots.written(VOLUME, ARCHIVE, **change)
            self.assert_refused('made of a container image')
        self.volumes.image_metadata = None
        self.assert_refused('made of a container image')

    def test_no_container_image(self):
        self.roots.written(VOLUME, ARCHIVE, container_format='bare')
        error = self.assertRaises(exception.ImageUnacceptable, self.spawn)
        self.assertIn('docker/raw', error.format_message())
        self.assert_nothing_of_it()

    def test_smaller_than_its_image(self):
        layer = archives.layer(('zeros', bytes(1 << 20)))
        data = gzip.compress(archives.docker25([layer]))
        self.roots.written(VOLUME, data)
        self.roots.size = 1 << 20
        self.assert_refused('smaller than its image')

    def test_each_step(self):
        for name, error, raised in (
                ('digests', OSError(errno.EIO, 'no'), Exception),
                ('make', OSError(errno.EBUSY, 'no'), Exception),
                ('make', processutils.ProcessExecutionError(
                    stderr='No space left on device'),
                 exception.BuildAbortException),
                ('attach', NotADirectoryError('diff'),
                 exception.BuildAbortException)):
            self.roots.fail_next(name, error)
            self.assertRaises(raised, self.spawn)
            self.assert_nothing_of_it()
        self.volumes.fail_next('probe', OSError(errno.EIO, 'no'))
        self.assertRaises(OSError, self.spawn)
        self.assert_nothing_of_it()
        self.spawn()
        self.assertEqual('running', self.state)

    def test_engine_fails(self):
        for step in ('create_container', 'load_image'):
            self.engine.fail_next(step, errors.ServerError('no', 500))
            self.assertRaises(exception.InternalError, self.spawn)
            self.assert_nothing_of_it()

    def test_what_was_cut_off_is_made_again(self):
        self.roots.data.clear()
        self.volumes.contents[VOLUME] = roots.OURS
        self.spawn()
        self.assertEqual('running', self.state)
        self.assertIn('root_make', self.steps(STEPS))

    def test_what_was_cut_off_and_has_lost_its_image(self):
        self.roots.data.clear()
        self.volumes.contents[VOLUME] = roots.OURS
        for image_id in ('', uuids.image):
            self.volumes.image_metadata['image_id'] = image_id
            if image_id:
                self.glance.get = self._not_found
            self.assert_refused('is not there any more')

    def _not_found(self, context, image_id):
        raise exception.ImageNotFound(image_id=image_id)

    def test_storage_driver(self):
        self.engine.details['Driver'] = 'btrfs'
        self.assertRaises(exception.ComputeResourcesUnavailable, self.spawn)
        self.assert_nothing_of_it()


class LaterBootTest(BootTestCase):

    def setUp(self):
        super().setUp()
        self.roots.data.clear()
        self.volumes.contents[VOLUME] = roots.OURS
        self.roots.documents[VOLUME] = DOCUMENT

    def test_spawn(self):
        self.spawn()
        self.assertEqual('running', self.state)
        self.assertNotIn('root_make', self.steps(STEPS))
        self.assertEqual({VOLUME: f'/layers/{self.container["Id"]}'},
                         self.roots.mounted)

    def test_again_after_it_was_deleted(self):
        self.spawn()
        self.compute.steps.clear()
        self.driver.destroy(self.context, self.instance, self.network_info,
                            self.info)
        self.assertEqual(
            ['stop_container', 'root_release', 'remove_container',
             'volume_disconnect'], self.steps(STEPS))
        self.assert_nothing_of_it()
        self.spawn()
        self.assertEqual('running', self.state)

    def test_in_use_when_it_is_deleted(self):
        self.spawn()
        for step in ('detach', 'release'):
            self.roots.fail_next(step, OSError(errno.EBUSY, 'busy'))
            self.assertRaises(exception.InternalError, self.driver.destroy,
                              self.context, self.instance, self.network_info,
                              self.info)
            self.assertIsNotNone(self.container)
            self.assertIsNotNone(self.root())

    def test_container_that_is_removed_in_part(self):
        self.spawn()
        self.useFixture(base.fixtures.MockPatchObject(
            rootfs, 'directory', autospec=True,
            side_effect=exception.Invalid('does not tell')))
        self.driver.destroy(self.context, self.instance, self.network_info,
                            self.info)
        self.assert_nothing_of_it()

    def test_hostile_documents(self):
        for content in (b'', b'\xff', b'[]', b'{}', b'{"config": []}',
                        b'{"architecture": "amd64", "os": "linux"}',
                        b'{"architecture": 1, "os": 2, "config": {}}'):
            self.roots.documents[VOLUME] = content
            self.assert_refused('image.json')
        for change in ({'architecture': 's390x'}, {'os': 'windows'}):
            self.roots.documents[VOLUME] = json.dumps(
                json.loads(DOCUMENT) | change).encode()
            self.assertRaises(exception.ImageUnacceptable, self.spawn)
            self.assert_nothing_of_it()

    def test_damaged(self):
        self.roots.fail_next('document', processutils.ProcessExecutionError(
            stdout='UNEXPECTED INCONSISTENCY', exit_code=4))
        self.assert_refused('UNEXPECTED INCONSISTENCY')

    def test_stop_and_start(self):
        self.spawn()
        for verbs in ((self.power_off, self.power_on), (self.reboot,),
                      (lambda: self.reboot('SOFT'),)):
            for verb in verbs:
                verb()
            self.assertEqual('running', self.state)
            self.assertEqual({VOLUME: f'/layers/{self.container["Id"]}'},
                             self.roots.mounted)
            self.assertEqual({VOLUME}, self.roots.protected)

    def test_connection_that_fails(self):
        """It is unmounted before it is disconnected."""
        self.spawn()
        self.compute.volumes.fail_next('connect', OSError('no connect'))
        self.assertRaises(exception.VolumeAttachFailed, self.reboot)
        self.assertEqual({}, self.roots.mounted)
        self.reboot()
        self.assertEqual({VOLUME}, set(self.roots.mounted))

    def test_device_of_another_volume(self):
        """What another server boots from is not unmounted."""
        self.spawn()
        other = base.make_instance(
            id=2, uuid=uuids.other, image_ref='',
            info_cache=objects.InstanceInfoCache(
                network_info=base.model.NetworkInfo([])))
        self.network_info = base.model.NetworkInfo([])
        self.info['block_device_mapping'][0]['connection_info'] = (
            volumes.connection(uuids.second, VOLUME))
        self.assertRaises(exception.InvalidVolume, self.spawn, other)
        self.assertEqual({VOLUME: f'/layers/{self.container["Id"]}'},
                         self.roots.mounted)

    def test_after_a_reboot_of_the_host(self):
        self.spawn()
        self.power_off()
        self.roots.mounted.clear()
        self.assertRaises(errors.ServerError,
                          self.foreign_start().result, 60)
        self.power_on()
        self.assertEqual({VOLUME}, set(self.roots.mounted))

    def test_hard_reboot_makes_the_container_again(self):
        self.spawn()
        self.engine.remove_container(self.container['Id'])
        self.roots.mounted.clear()
        self.reboot()
        self.assertEqual('running', self.state)
        self.assertEqual({VOLUME: f'/layers/{self.container["Id"]}'},
                         self.roots.mounted)

    def test_rescue(self):
        self.spawn()
        own = self.container['Id']
        self.power_off()
        # The host was booted.
        self.roots.mounted.clear()
        self.useFixture(base.fixtures.MockPatchObject(
            device, 'boot', autospec=True, return_value='another'))
        meta = objects.ImageMeta.from_dict({
            'id': uuids.rescue, 'checksum': 'aa', 'disk_format': 'raw',
            'container_format': 'docker', 'size': 1, 'properties': {}})
        self.driver.rescue(self.context, self.instance, self.network_info,
                           meta, None, self.info, [])
        self.assertEqual({VOLUME: f'/layers/{own}'}, self.roots.mounted)
        rescuer, _own = self.engine.list_containers([])
        self.assertTrue(names.is_rescue(rescuer['Labels']))
        self.assertEqual('unlimited',
                         rescuer['Labels'][names.LABEL_ROOT_DISK])
        self.driver.unrescue(self.context, self.instance)
        self.assertEqual((own, 'running'),
                         (self.container['Id'], self.state))
        self.assertEqual({VOLUME: f'/layers/{own}'}, self.roots.mounted)

    def test_rescue_without_an_image(self):
        self.spawn()
        self.assertRaises(
            exception.InstanceNotRescuable, self.driver.rescue, self.context,
            self.instance, self.network_info, self.image_meta, None,
            self.info, [])
        self.assertEqual('running', self.state)

    def test_extend(self):
        self.spawn()
        self.compute.volumes.sizes[VOLUME] = 2 << 30
        self.driver.extend_volume(
            self.context, self.info['block_device_mapping'][0][
                'connection_info'], self.instance, 2 << 30)
        self.assertIn(('root_grow', (VOLUME,)), self.compute.steps)

    def test_detach(self):
        self.spawn()
        self.assertRaises(
            exception.DeviceDetachFailed, self.driver.detach_volume,
            self.context, self.info['block_device_mapping'][0][
                'connection_info'], self.instance, '/dev/vda')
        self.assertEqual({VOLUME}, set(self.roots.mounted))

    def test_another_volume_under_its_path(self):
        self.spawn()
        self.power_off()
        self.compute.volumes.devices[VOLUME] = (7, 99)
        self.roots.mounted.clear()
        self.assertRaises(errors.ServerError,
                          self.foreign_start().result, 60)

    def test_the_cache_knows_its_image(self):
        self.spawn()
        for present in (True, False):
            self.flags(group='image_cache',
                       remove_unused_original_minimum_age_seconds=0)
            self.driver.manage_image_cache(self.context, [self.instance])
            self.assertEqual(present, bool(self.engine.list_images(
                [names.image_prefix('volume') + '*'])))
            if present:
                self.driver.destroy(self.context, self.instance,
                                    self.network_info, self.info)
