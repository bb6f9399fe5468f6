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

import io
import json
import tarfile
import threading
import time
import types

import fixtures
from nova import context as nova_context
from nova import exception
from nova import objects
from nova.tests.functional.api import client as api_client

from nova_docker.image import cache
from nova_docker.spec import names
from tests.fixtures import archives
from tests.fixtures import busybox
from tests.functional import base

#: Says what is there, then writes it. The second server of it is the one
#: that finds something.
COMMAND = ('sh -c "echo found $(cat /kept) $COLOR; echo data > /kept; '
           'head -c $SIZE /dev/urandom > /big; echo ready; '
           'trap \'exit 0\' TERM; while :; do sleep 1 & wait $!; done"')


class SnapshotTestCase(base.FunctionalTestCase):

    def setUp(self):
        super().setUp()
        self.image_id = self.writer(1000)
        self.neutron.create_port({'port': self.neutron.port_2})

    def writer(self, size):
        """An image whose servers write so many bytes."""
        return self.add_image(
            busybox.archive(), checksum=f'{size:x}', properties={
                'os_command_line': COMMAND, 'docker_env_COLOR': 'blue',
                'docker_env_SIZE': str(size), 'mine': 'too'})

    def boot_ready(self, **changes):
        server = self.boot(**changes)
        self.console(server)
        return server

    def boot_of(self, image_id):
        """Boot another server; what it says."""
        server = self._build_server(
            image_uuid=image_id, flavor_id=self.flavor_id,
            networks=[{'port': self.neutron.port_2['id']}])
        server = self._wait_for_state_change(
            self.api.post_server({'server': server}), 'ACTIVE')
        output = self.console(server)
        self.api.delete_server(server['id'])
        self._wait_until_deleted(server)
        return output

    def snapshots(self, server):
        """The images of a server, newest first."""
        return self.glance.detail(
            None, {'property-instance_uuid': server['id']})

    def create_image(self, server, name='snap', state=None):
        """Take a snapshot as a user does; the image."""
        self.act(server, {'createImage': {'name': name}},
                 state or server['status'])
        return self.snapshots(server)[0]

    def delete_all(self, server):
        for image in self.snapshots(server):
            self.glance.delete(None, image['id'])
        self.delete(server)


class SnapshotTest(SnapshotTestCase):

    def assert_boots(self, image):
        self.assertEqual('active', image['status'])
        self.assertIn('found data blue', self.boot_of(image['id']))

    def test_running(self):
        server = self.boot_ready()
        self.assertIn('found blue', self.console(server))
        powers = set()
        # Long enough to look, in this thread: Nova's database is not for the
        # native one that Nova 2026.1 uploads in.
        self.uploads.on_read = lambda size: time.sleep(0.02)
        self.api.post_server_action(
            server['id'], {'createImage': {'name': 'snap'}})
        for _ in range(1000):
            now = self.api.get_server(server['id'])
            powers.add(now['OS-EXT-STS:power_state'])
            if now['OS-EXT-STS:task_state'] is None:
                break
        image, = self.snapshots(server)
        self.assertEqual('snap', image['name'])
        self.assertEqual(('raw', 'docker'), (image['disk_format'],
                                             image['container_format']))
        self.assertEqual(
            ('docker', 'blue', 'too', COMMAND),
            tuple(image['properties'][key] for key in (
                'img_hv_type', 'docker_env_COLOR', 'mine',
                'os_command_line')))
        self.assertNotIn(names.LABEL_PREFIX.encode(),
                         self.glance._imagedata[image['id']])
        self.assertEqual('running', self.container(server)['State']['Status'])
        # Time for events that come late.
        time.sleep(1)
        powers.add(
            self.api.get_server(server['id'])['OS-EXT-STS:power_state'])
        self.assertEqual({1}, powers)
        self.assert_boots(image)
        self.delete_all(server)

    def test_paused(self):
        server = self.act(self.boot_ready(), {'pause': {}}, 'PAUSED')
        image = self.create_image(server)
        self.assertEqual('paused', self.container(server)['State']['Status'])
        self.assertEqual(3, self.api.get_server(
            server['id'])['OS-EXT-STS:power_state'])
        self.assert_boots(image)
        self.delete_all(server)

    @base.one_nova
    def test_stopped(self):
        server = self.act(self.boot_ready(), {'os-stop': {}}, 'SHUTOFF')
        image = self.create_image(server)
        self.assertEqual('exited', self.container(server)['State']['Status'])
        self.assert_boots(image)
        self.delete_all(server)

    @base.one_nova
    def test_of_a_server_of_a_snapshot(self):
        server = self.boot_ready()
        self.image_id = self.create_image(server)['id']
        self.delete(server)
        second = self.boot_ready()
        self.assert_boots(self.create_image(second))
        self.delete_all(second)

    def test_source_properties_stay_with_the_source(self):
        server = self.boot_ready()
        # As one has that was made from an image in a registry.
        instance = objects.Instance.get_by_uuid(
            nova_context.get_admin_context(), server['id'])
        instance.system_metadata['image_docker_image_ref'] = (
            'registry.example/a:b')
        instance.save()
        image = self.create_image(server)
        self.assertNotIn('docker_image_ref', image['properties'])
        self.assertEqual(('snap', 'too', server['id']), (
            image['name'], image['properties']['mine'],
            image['properties']['instance_uuid']))
        self.delete_all(server)

    @base.one_nova
    def test_names(self):
        name = ('Käse & "Wein" ' * 20)[:255].strip()
        server = self.boot_ready(name=name)
        image = self.create_image(server, name)
        self.assertEqual(name, image['name'])
        self.assert_boots(image)
        self.delete_all(server)

    def test_backup_rotation(self):
        server = self.boot_ready()
        taken = []
        for number in range(3):
            self.act(server, {'createBackup': {
                'name': f'b{number}', 'backup_type': 'daily',
                'rotation': 2}}, 'ACTIVE')
            taken.append(self.snapshots(server)[0]['id'])
        self.assertEqual(taken[:0:-1], [
            image['id'] for image in self.snapshots(server)])
        self.assert_boots(self.snapshots(server)[0])
        self.delete_all(server)

    def test_shelve_offload_unshelve(self):
        self.flags(shelved_offload_time=-1)
        server = self.boot_ready()
        self.act(server, {'shelve': {}}, 'SHELVED')
        image, = self.snapshots(server)
        self.assertEqual('active', image['status'])
        # Nova's own answer: there is an image already.
        refused = self.assertRaises(
            api_client.OpenStackApiException, self.api.post_server_action,
            server['id'], {'createImage': {'name': 'another'}})
        self.assertEqual(409, refused.response.status_code)
        self.act(server, {'shelveOffload': {}}, 'SHELVED_OFFLOADED')
        self.assertEqual([], self.engine.list_containers(
            [f'{names.LABEL_INSTANCE}={server["id"]}']))
        self.act(server, {'unshelve': None}, 'ACTIVE')
        self.assertIn('found data blue', self.console(server))
        self.assertEqual([], self.snapshots(server))
        self.delete(server)

    def test_unshelve_what_is_still_there(self):
        self.flags(shelved_offload_time=-1)
        server = self.boot_ready()
        self.act(server, {'shelve': {}}, 'SHELVED')
        self.act(server, {'unshelve': None}, 'ACTIVE')
        self.assertIn('found data blue', self.console(server, 'found data'))
        self.delete(server)

    @base.one_nova
    def test_volumes_of_the_image_are_directories(self):
        with tarfile.open(fileobj=io.BytesIO(busybox.archive())) as tar:
            manifest, = json.load(tar.extractfile('manifest.json'))
            config = json.load(tar.extractfile(manifest['Config']))
            layers = [tar.extractfile(name).read()
                      for name in manifest['Layers']]
        config['config']['Volumes'] = {'/vol': {}}
        self.image_id = self.add_image(
            archives.docker25(layers, archives.as_json(config)),
            checksum='vol', properties={
                'os_command_line': COMMAND.replace('/kept', '/vol/kept'),
                'docker_env_SIZE': '1', 'docker_env_COLOR': 'blue'})
        server = self.boot_ready()
        self.assertEqual([], self.container(server)['Mounts'])
        image = self.create_image(server)
        self.assertIn('found data blue', self.boot_of(image['id']))
        self.delete_all(server)


class FaultTest(SnapshotTestCase):

    def setUp(self):
        super().setUp()
        self.image_id = self.writer(20_000_000)

    def assert_failed(self, server):
        """The server is as it was, and there is no image."""
        self._wait_for_server_parameter(
            server, {'OS-EXT-STS:task_state': None})
        self.assertEqual('running', self.container(server)['State']['Status'])
        self.assertEqual([], self.snapshots(server))
        self.assertEqual(set(), self.leftovers()['snapshots'])

    def assert_deleted(self, server):
        """Delete a server whose snapshot is being taken: nothing is left."""
        self.api.delete_server(server['id'])
        self._wait_until_deleted(server)
        for _ in range(600):
            if not self.driver._services.uploads:
                break
            time.sleep(0.1)
        self.assertEqual([], self.snapshots(server))
        self.assert_nothing_left()

    def test_deleted_during_the_upload(self):
        server = self.boot_ready()
        begun = threading.Event()
        sizes = []

        def slowly(size):
            begun.set()
            sizes.append(size)
            time.sleep(0.2)
        self.uploads.on_read = slowly
        self.api.post_server_action(
            server['id'], {'createImage': {'name': 'snap'}})
        self.assertTrue(begun.wait(60))
        began = time.monotonic()
        self.assert_deleted(server)
        # At this pace the whole of it takes more than a minute.
        self.assertLess(time.monotonic() - began, 40)
        self.assertLess(max(sizes), 20_000_000)

    def test_deleted_during_the_commit(self):
        server = self.boot_ready()
        services = self.driver._services
        begun = threading.Event()
        commit = services.engine.commit_container

        def slow_commit(name, reference):
            begun.set()
            while not services.uploads[reference].cancelled:
                time.sleep(0.1)
            return commit(name, reference)
        self.useFixture(fixtures.MockPatchObject(
            services.engine, 'commit_container', slow_commit))
        self.api.post_server_action(
            server['id'], {'createImage': {'name': 'snap'}})
        self.assertTrue(begun.wait(60))
        self.assert_deleted(server)

    @base.one_nova
    def test_glance_fails(self):
        server = self.boot_ready()

        def fail(size):
            raise exception.GlanceConnectionFailed(server='g', reason='gone')
        self.uploads.on_read = fail
        self.api.post_server_action(
            server['id'], {'createImage': {'name': 'snap'}})
        self.assert_failed(server)
        self.uploads.on_read = lambda size: None
        self.create_image(server)
        self.delete_all(server)

    @base.one_nova
    def test_glance_fails_at_shelve(self):
        server = self.boot_ready()

        def fail(size):
            raise exception.GlanceConnectionFailed(server='g', reason='gone')
        self.uploads.on_read = fail
        self.api.post_server_action(server['id'], {'shelve': {}})
        self._wait_for_server_parameter(
            server, {'OS-EXT-STS:task_state': None})
        self.assertEqual([], self.snapshots(server))
        self.assertEqual('exited', self.container(server)['State']['Status'])
        self.delete(server)

    @base.one_nova
    def test_image_is_deleted_during_the_upload(self):
        server = self.boot_ready()

        def delete(size):
            for image in self.snapshots(server):
                self.glance.delete(None, image['id'])
            raise exception.ImageNotFound(image_id='x')
        self.uploads.on_read = delete
        self.api.post_server_action(
            server['id'], {'createImage': {'name': 'snap'}})
        self.assert_failed(server)
        self.delete(server)


class ImageCacheTest(base.FunctionalTestCase):

    def references(self):
        return {tag for image in self.engine.list_images(
            [names.IMAGE_REPOSITORY + '/*']) for tag in image['RepoTags']}

    def manage(self):
        self.compute.manager._run_image_cache_manager_pass(
            nova_context.get_admin_context())

    def test_cache_and_age(self):
        self.now = time.time()
        # Its clock alone: Nova's database connections have an age, too.
        self.useFixture(fixtures.MockPatchObject(
            cache, 'time', types.SimpleNamespace(time=lambda: self.now)))
        aggregate = self.admin_api.post_aggregate(
            {'aggregate': {'name': 'a'}})['id']
        self.admin_api.add_host_to_aggregate(aggregate, 'host1')
        self.admin_api.api_post(
            f'/os-aggregates/{aggregate}/images',
            {'cache': [{'id': self.image_id}]}, check_response_status=[202])
        reference = names.image_reference(self.image_id, 'aa')
        for _ in range(600):
            if reference in self.references():
                break
            time.sleep(0.1)
        self.assertEqual({reference}, self.references())
        server = self.boot()
        for _ in range(2):
            self.now += 24 * 3600
            self.manage()
        self.assertEqual({reference}, self.references())
        self.delete(server)
        self.manage()
        self.assertEqual({reference}, self.references())
        self.now += 24 * 3600
        self.manage()
        self.assertEqual(set(), self.references())
