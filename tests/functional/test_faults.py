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

"""Bad input and faults: a clear fault or recovery, and nothing left."""

import os
import threading
import time
from unittest import mock

import fixtures
from nova import exception
from nova.tests.functional.api import client as api_client
from os_vif import exception as os_vif_exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.spec import names
from tests.fixtures import busybox
from tests.fixtures import proxy
from tests.functional import base


class BadInputTest(base.FunctionalTestCase):

    def assert_refused(self, *words, **changes):
        server = self.boot('ERROR', **changes)
        fault = self.fault(server)
        for word in words:
            self.assertIn(word, fault)
        self.assert_nothing_left()
        self.os_vif_plug.assert_not_called()
        self.delete(server)

    def with_properties(self, **properties):
        self.image_id = self.add_image(
            busybox.archive(), checksum='bb', properties=properties)

    @base.one_nova
    def test_vm_image(self):
        self.image_id = self.add_image(
            b'QFI\xfb' + bytes(1000), checksum='bb', disk_format='qcow2',
            container_format='bare')
        server = self.boot('ERROR')
        self.assertIn('containers need docker/raw', self.fault(server))
        self.delete(server)

    @base.one_nova
    def test_not_a_container_image(self):
        self.image_id = self.add_image(bytes(100000), checksum='bb')
        server = self.boot('ERROR')
        self.assertIn('unacceptable', self.fault(server))
        self.assertEqual([], self.engine.list_images(
            [names.IMAGE_REPOSITORY + '/*']))
        self.delete(server)

    @base.one_nova
    def test_truncated_image(self):
        self.image_id = self.add_image(busybox.archive()[:-1500000], 'bb')
        server = self.boot('ERROR')
        self.assertIn('unacceptable', self.fault(server))
        self.assertEqual([], self.engine.list_images(
            [names.IMAGE_REPOSITORY + '/*']))
        self.delete(server)

    @base.one_nova
    def test_image_deleted_meanwhile(self):
        def gone(*args, **kwargs):
            raise exception.ImageNotFound(image_id=self.image_id)

        self.useFixture(fixtures.MockPatchObject(
            self.glance, 'download', gone))
        server = self.boot('ERROR')
        self.assertIn('could not be found', self.fault(server))
        self.delete(server)

    @base.one_nova
    def test_command_does_not_exist(self):
        self.with_properties(os_command_line='/no/such/command')
        server = self.boot('ERROR')
        self.assertIn('/no/such/command', self.fault(server))
        self.delete(server)

    @base.one_nova
    def test_command_exits_at_once(self):
        self.with_properties(os_command_line='sh -c "echo ready"')
        server = self.api.post_server({'server': self._build_server(
            image_uuid=self.image_id, flavor_id=self.flavor_id,
            networks=[{'port': self.neutron.port_1['id']}])})
        self._wait_for_state_change(server, 'SHUTOFF')
        self.assertIn('ready', self.console(server))
        self.delete(server)

    @base.one_nova
    def test_unknown_image_property(self):
        self.with_properties(docker_privileged='true')
        self.assert_refused('docker_privileged')

    @base.one_nova
    def test_malformed_image_property(self):
        self.with_properties(docker_env_A='x' * 300)
        self.assert_refused('docker_env_A', '254')

    def test_flavor_that_cannot_be_honoured(self):
        self.admin_api.post_extra_spec(self.flavor_id, {
            'extra_specs': {'quota:cpu_limit': '1000'}})
        self.assert_refused('quota:cpu_limit')

    def test_flavor_with_unknown_docker_extra_spec(self):
        # As left by an API host that does not have our validators.
        self.admin_api.microversion = '2.85'
        self.admin_api.post_extra_spec(self.flavor_id, {
            'extra_specs': {'docker:privilege': 'true'}})
        self.admin_api.microversion = 'latest'
        self.assert_refused('docker:privilege ')

    def test_api_refuses_unknown_docker_extra_spec(self):
        error = self.assertRaises(
            api_client.OpenStackApiException, self.admin_api.post_extra_spec,
            self.flavor_id, {'extra_specs': {'docker:pids_limt': '100'}})
        self.assertEqual(400, error.response.status_code)

    @base.one_nova
    def test_flavor_smaller_than_the_image(self):
        self.glance.images[self.image_id]['size'] = 10
        self.useFixture(fixtures.MockPatch(
            'nova_docker.lifecycle.create.units.Gi', 1000))
        server = self.boot('ERROR')
        self.assertIn('too small', self.fault(server))
        self.assertEqual([], self.engine.list_images(
            [names.IMAGE_REPOSITORY + '/*']))
        self.delete(server)


class NetworkFaultsTest(base.FunctionalTestCase):

    def test_port_that_cannot_be_plugged(self):
        self.os_vif_plug.side_effect = os_vif_exception.PlugException(
            vif='v', err='no such bridge')
        server = self.boot('ERROR')
        self.assert_nothing_left()
        self.delete(server)

    @base.one_nova
    def test_gate_that_fails(self):
        self.useFixture(fixtures.MockPatch(
            'nova_docker.network.netns.configure', autospec=True,
            side_effect=OSError('no such device')))
        server = self.boot('ERROR')
        self.assert_nothing_left()
        self.delete(server)

    def test_vif_plugged_timeout(self):
        self.flags(vif_plugging_timeout=1)
        self.never_plugged()
        server = self.boot('ERROR')
        self.assertIn('Failed to allocate the network', self.fault(server))
        self.assert_nothing_left()
        self.delete(server)

    def test_vif_plugged_timeout_that_is_not_fatal(self):
        self.flags(vif_plugging_timeout=1, vif_plugging_is_fatal=False)
        self.never_plugged()
        server = self.boot()
        self.assertIn('192.168.1.3/24', self.console(server))
        self.delete(server)

    def never_plugged(self):
        """Ports that stay down, of which Neutron never says a word."""
        self.useFixture(fixtures.MockPatch(
            'nova_docker.network.wait._events', autospec=True,
            return_value=[('network-vif-plugged', uuids.never)]))

    @base.one_nova
    def test_failed_start_keeps_the_container(self):
        server = self.boot()
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        before = self.container(server)['Id']
        with mock.patch('nova_docker.network.netns.configure', autospec=True,
                        side_effect=OSError('no such device')) as configure:
            self.act(server, {'os-start': {}}, 'SHUTOFF')
        configure.assert_called_once()
        self.assertEqual(self.before['links'], self.leftovers()['links'])
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.assertEqual(before, self.container(server)['Id'])
        self.assertEqual(2, self.console(server).count('ready'))
        self.delete(server)


class EngineFaultsTest(base.FunctionalTestCase):
    """The engine's address is a proxy that can be cut."""

    def setUp(self):
        self.proxy = proxy.EngineProxy(os.environ['DOCKER_HOST'])
        super().setUp()

    def flags(self, **kw):
        if kw.get('group') == 'docker' and 'url' in kw:
            self.useFixture(self.proxy)
            kw |= {'url': self.proxy.url, 'request_timeout': 2}
        super().flags(**kw)

    @base.one_nova
    def test_down_at_spawn(self):
        self.proxy.cut()
        server = self.boot('ERROR')
        self.proxy.restore()
        self.assert_nothing_left()
        self.delete(server)

    def test_down_in_the_middle_of_spawn(self):
        for request in (b'/images/load', b'/containers/create', b'/start '):
            self.proxy.spy = lambda chunk, request=request: (
                self.proxy.cut() if request in chunk else None)
            server = self.boot('ERROR')
            self.proxy.spy = lambda chunk: None
            self.proxy.restore()
            self.api.delete_server(server['id'])
            self._wait_until_deleted(server)
            for _ in range(600):
                if self.leftovers() == self.before:
                    break
                time.sleep(0.1)
            self.assert_nothing_left()

    def test_never_answers(self):
        self.proxy.hang()
        server = self.boot('ERROR')
        self.proxy.restore()
        self.assert_nothing_left()
        self.delete(server)

    @base.one_nova
    def test_down_at_power_off(self):
        server = self.boot()
        self.proxy.cut()
        self.act(server, {'os-stop': {}}, 'ACTIVE')
        self.proxy.restore()
        self.assertTrue(self.container(server)['State']['Running'])
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.delete(server)

    @base.one_nova
    def test_down_at_delete(self):
        server = self.boot()
        self.proxy.cut()
        self.api.delete_server(server['id'])
        server = self._wait_for_state_change(server, 'ERROR')
        self.proxy.restore()
        self.delete(server)

    @base.one_nova
    def test_died_while_the_engine_was_away(self):
        server = self.boot()
        self.proxy.cut()
        self.engine.kill_container(names.container_name(server['id']))
        self.proxy.restore()
        self._wait_for_state_change(server, 'SHUTOFF')
        self.delete(server)

    @base.one_nova
    def test_started_again_when_the_operator_wants_it(self):
        self.flags(resume_guests_state_on_host_boot=True)
        self.compute = self.restart_compute_service(self.compute)
        server = self.boot()
        self.console(server)
        self.proxy.cut()
        self.engine.kill_container(names.container_name(server['id']))
        self.proxy.restore()
        for _ in range(300):
            if self.container(server)['State']['Running']:
                break
            time.sleep(0.1)
        self._wait_for_server_parameter(
            server, {'status': 'ACTIVE', 'OS-EXT-STS:task_state': None})
        self.assertTrue(self.container(server)['State']['Running'])
        self.assertIn('reboot', [
            each['action'] for each in self.api.get_instance_actions(
                server['id'])])
        self.delete(server)

    @base.one_nova
    def test_down_at_start(self):
        self.proxy.cut()
        error = self.assertRaises(
            exception.NovaException, self.restart_compute_service,
            self.compute)
        self.assertIn('No Docker Engine', str(error))
        self.proxy.restore()


class OthersTest(base.FunctionalTestCase):

    @base.one_nova
    def test_container_removed_by_hand(self):
        server = self.boot()
        self.engine.remove_container(names.container_name(server['id']))
        self.act(server, {'os-stop': {}}, 'ACTIVE')
        self.assertIn('could not be found', self.fault_of_action(server))
        self.delete(server)

    def fault_of_action(self, server):
        action = self.api.get_instance_actions(server['id'])[0]
        return self.api.api_get(
            f'/servers/{server["id"]}/os-instance-actions/'
            f'{action["request_id"]}').body['instanceAction']['events'][0][
                'details']

    @base.one_nova
    def test_foreign_containers_do_not_exist(self):
        server = self.boot()
        image = self.container(server)['Image']
        labels = names.labels(uuids.other, 'n', 'host10', 'p')
        self.foreign('foreign', image, {})
        self.foreign(names.container_name(uuids.other), image, labels)
        self.assertEqual([server['id']], self.driver.list_instance_uuids())
        self.compute = self.restart_compute_service(self.compute)
        self.assertEqual([server['id']], self.driver.list_instance_uuids())
        self.api.delete_server(server['id'])
        self._wait_until_deleted(server)
        self.assertEqual(
            {'/foreign', '/' + names.container_name(uuids.other)},
            self.leftovers()['containers'])

    def foreign(self, name, image, labels):
        container = self.engine.create_container(name, {
            'Image': image, 'Cmd': ['sleep', '60'], 'Labels': labels,
            'HostConfig': {'NetworkMode': 'none'}})
        self.addCleanup(self.engine.remove_container, container)

    @base.one_nova
    def test_name_taken_by_a_foreign_container(self):
        first = self.boot()
        self.foreign(names.container_name(uuids.taken),
                     self.container(first)['Image'], {})
        self.delete_quietly(first)
        self.useFixture(fixtures.MockPatch(
            'nova_docker.spec.names.container_name', autospec=True,
            return_value=names.container_name(uuids.taken)))
        server = self.boot('ERROR')
        self.delete_quietly(server)
        self.assertEqual({'/' + names.container_name(uuids.taken)},
                         self.leftovers()['containers'])

    def delete_quietly(self, server):
        self.api.delete_server(server['id'])
        self._wait_until_deleted(server)

    def test_delete_during_image_load(self):
        started, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)
        archive = busybox.archive()

        def slow(context, image_id, data=None, **kwargs):
            data.write(archive[:100000])
            started.set()
            go_on.wait(30)
            data.write(archive[100000:])

        self.useFixture(fixtures.MockPatchObject(
            self.glance, 'download', slow))
        server = self.api.post_server({'server': self._build_server(
            image_uuid=self.image_id, flavor_id=self.flavor_id,
            networks=[{'port': self.neutron.port_1['id']}])})
        for _ in range(600):
            if started.is_set():
                break
            time.sleep(0.1)
        self.assertTrue(started.is_set())
        self.api.delete_server(server['id'])
        go_on.set()
        self._wait_until_deleted(server)
        self.assert_nothing_left()

    def test_restart_of_compute_leaves_servers_alone(self):
        server = self.boot()
        before = self.container(server)['State']['Pid']
        self.compute = self.restart_compute_service(self.compute)
        self.assertEqual(before, self.container(server)['State']['Pid'])
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.delete(server)
