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

"""Ports that come and go, by os-interface."""

import json
import os
import subprocess
import time

import fixtures
from nova.api.metadata import base as metadata
from nova import context as nova_context
from nova.network import model
from nova import objects
from nova.tests.functional.api import client as api_client
from os_vif import exception as os_vif_exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.host import pci
from nova_docker.network import plans
from nova_docker.privsep import link
from nova_docker.spec import names
from tests.fixtures import dockerd
from tests.fixtures import starts
from tests.functional import base

METADATA = 'openstack/latest/meta_data.json'


class InterfacesTestCase(base.FunctionalTestCase):
    """port_1 is there from the start; Nova makes port_2, or is given it."""

    def setUp(self):
        super().setUp()
        self.first = self.neutron.port_1['id']
        self.second = self.neutron.port_2['id']

    def attach(self, server, **request):
        return self.api.attach_interface(
            server['id'], {'interfaceAttachment': request}
        ).body['interfaceAttachment']

    def detach(self, server, port):
        self.api.detach_interface(server['id'], port)
        for _ in range(600):
            if port not in self.attached(server):
                return
            time.sleep(0.1)
        self.fail(f'{port} is still attached')

    def attached(self, server):
        return {each['port_id'] for each in self.api.get_port_interfaces(
            server['id'])}

    def addresses(self, server):
        """Fixed IPv4 addresses by the interfaces of a container that runs."""
        return {each['ifname']: each['addr_info'][0]['local']
                for each in self.ip(server, 'addr') if each['ifname'] != 'lo'}

    def tables(self, server):
        """Fixed IPv4 addresses, and what routes what is sent from them."""
        return {each['src']: each['table'] for each in self.ip(server, 'rule')
                if each['src'] != 'all'}

    def ip(self, server, command):
        pid = self.container(server)['State']['Pid']
        return json.loads(subprocess.run(
            ['nsenter', f'--net=/proc/{pid}/ns/net', 'ip', '-j', '-4',
             command], check=True, capture_output=True).stdout)

    def event(self, server, name, port):
        """What Neutron tells Nova."""
        self.api.api_post('/os-server-external-events', {'events': [
            {'name': name, 'server_uuid': server['id'], 'tag': port}]})


class InterfacesTest(InterfacesTestCase):

    def test_running(self):
        server = self.boot()
        self.assertEqual(self.second, self.attach(
            server, net_id=self.neutron.network_1['id'], tag='dmz')['port_id'])
        both = {'eth0': '192.168.1.3', 'eth1': '192.168.1.30'}
        tables = {'192.168.1.3': '20000', '192.168.1.30': '20001'}
        self.assertEqual(both, self.addresses(server))
        self.assertEqual(tables, self.tables(server))
        instance = objects.Instance.get_by_uuid(
            nova_context.get_admin_context(), server['id'],
            expected_attrs=['device_metadata'])
        device, = instance.device_metadata.devices
        self.assertEqual((self.neutron.port_2['mac_address'], ['dmz']),
                         (device.mac, device.tags))
        self.act(server, {'reboot': {'type': 'SOFT'}}, 'ACTIVE')
        self.assertEqual(both, self.addresses(server))
        self.assertEqual(tables, self.tables(server))
        self.detach(server, self.first)
        self.assertEqual({'eth1': '192.168.1.30'}, self.addresses(server))
        self.assertEqual({}, self.tables(server))
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.assertEqual({'eth1': '192.168.1.30'}, self.addresses(server))
        self.attach(server, port_id=self.first)
        self.assertEqual(both, self.addresses(server))
        self.act(server, {'rebuild': {'imageRef': self.image_id}}, 'ACTIVE')
        self.assertEqual(both, self.addresses(server))
        self.assertEqual(tables, self.tables(server))
        self.delete(server)

    def test_paused(self):
        server = self.boot()
        self.act(server, {'pause': {}}, 'PAUSED')
        self.attach(server, net_id=self.neutron.network_1['id'])
        self.detach(server, self.first)
        self.act(server, {'unpause': {}}, 'ACTIVE')
        self.assertEqual({'eth1': '192.168.1.30'}, self.addresses(server))
        self.delete(server)

    def test_stopped(self):
        server = self.boot()
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.attach(server, net_id=self.neutron.network_1['id'])
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.assertEqual({'eth0': '192.168.1.3', 'eth1': '192.168.1.30'},
                         self.addresses(server))
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.detach(server, self.first)
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.assertEqual({'eth1': '192.168.1.30'}, self.addresses(server))
        self.delete(server)

    def test_the_last_one(self):
        server = self.boot()
        self.detach(server, self.first)
        self.assertEqual({}, self.addresses(server))
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.attach(server, port_id=self.first)
        self.assertEqual({'eth0': '192.168.1.3'}, self.addresses(server))
        self.delete(server)

    def test_a_failure_gives_the_port_back(self):
        server = self.boot()
        self.os_vif_plug.side_effect = os_vif_exception.PlugException(
            vif='v', err='no bridge')
        error = self.assertRaises(
            api_client.OpenStackApiException, self.attach, server,
            net_id=self.neutron.network_1['id'])
        self.assertEqual(500, error.response.status_code)
        self.assertEqual({self.first}, self.attached(server))
        self.assertNotIn(self.second, self.neutron._ports)
        self.assertEqual(link.ABSENT, link.pair_state(
            names.host_device(self.second, None),
            names.parked_device(self.second)))
        self.assertEqual({'eth0': '192.168.1.3'}, self.addresses(server))
        self.os_vif_plug.side_effect = None
        self.attach(server, net_id=self.neutron.network_1['id'])
        self.delete(server)

    def assert_refused(self, server):
        """The server cannot have the second port, which is nobody's then."""
        error = self.assertRaises(
            api_client.OpenStackApiException, self.attach, server,
            port_id=self.second)
        self.assertEqual(500, error.response.status_code)
        self.assertIn('Failed to attach network adapter device to ' +
                      server['id'], str(error))
        self.assertEqual({self.first}, self.attached(server))
        port = self.neutron._ports[self.second]
        self.assertEqual(['', '', None, {}], [port[key] for key in (
            'device_id', 'device_owner', 'binding:host_id',
            'binding:profile')])

    def test_kind_that_is_refused(self):
        self.neutron._ports[self.second] = {
            **self.neutron.port_2, 'binding:vnic_type': 'baremetal'}
        server = self.boot()
        self.assert_refused(server)
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.assert_refused(server)
        self.delete(server)

    def test_virtual_function_that_is_gone(self):
        function = {
            'dev_id': 'pci_0000_99_00_1', 'address': '0000:99:00.1',
            'vendor_id': '8086', 'product_id': '10ed', 'numa_node': None,
            'label': 'label_8086_10ed', 'dev_type': 'type-VF',
            'parent_addr': '0000:99:00.0'}
        self.useFixture(fixtures.MockPatchObject(
            pci, 'virtual_functions', autospec=True,
            side_effect=lambda: [dict(function)]))
        self.flags(group='pci', device_spec=[
            '{"vendor_id": "8086", "physical_network": null}'])
        self.neutron._ports[self.second] = {
            **self.neutron.port_2, 'binding:vnic_type': 'direct'}
        self.compute = self.restart_compute_service(self.compute)
        server = self.boot()
        for _time in range(2):
            self.assert_refused(server)
            tracker = self.compute.manager.rt.pci_tracker
            self.assertEqual(['available'], [
                each.status for each in tracker.pci_devs])
        self.delete(server)

    def test_port_that_nova_forgets(self):
        server = self.boot()
        self.attach(server, net_id=self.neutron.network_1['id'])
        cache = objects.InstanceInfoCache.get_by_instance_uuid(
            nova_context.get_admin_context(), server['id'])
        cache.network_info = model.NetworkInfo([
            vif for vif in cache.network_info if vif['id'] == self.second])
        cache.save()
        self.compute = self.restart_compute_service(self.compute)
        self.assertEqual({'eth0': '192.168.1.3', 'eth1': '192.168.1.30'},
                         self.addresses(server))
        self.os_vif_unplug.reset_mock()
        self.delete(server)
        self.assertEqual({self.first, self.second}, {
            call.args[0].id for call in self.os_vif_unplug.call_args_list})

    def test_port_that_neutron_deletes(self):
        server = self.boot()
        self.attach(server, net_id=self.neutron.network_1['id'])
        self.event(server, 'network-vif-deleted', self.second)
        for _ in range(600):
            if self.addresses(server) == {'eth0': '192.168.1.3'}:
                break
            time.sleep(0.1)
        else:
            self.fail('the interface is still there')
        self.delete(server)

    def test_tags(self):
        server = self.boot(networks=[{'port': self.first, 'tag': 'lan'}],
                           config_drive=True)
        self.attach(server, net_id=self.neutron.network_1['id'], tag='dmz')
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        lan, dmz = ((port['mac_address'], [tag]) for port, tag in (
            (self.neutron.port_1, 'lan'), (self.neutron.port_2, 'dmz')))
        # A drive stays as it was made, as it does with virtual machines.
        path = os.path.join(plans.config_drive_path(
            self.state_dir, server['id']), METADATA)
        with open(path, 'rb') as file:
            self.assertEqual([lan], self.tags(file.read()))
        self.assertEqual([lan, dmz], self.served_tags(server))
        self.detach(server, self.first)
        # Nova saves that after it gave the port back.
        starts.wait_until(lambda: self.served_tags(server) == [dmz])
        self.delete(server)

    def served_tags(self, server):
        """What the metadata service says."""
        return self.tags(metadata.get_metadata_by_instance_id(
            server['id'], '192.168.1.3').lookup(METADATA))

    @staticmethod
    def tags(content):
        """MAC address and tags of each device in metadata."""
        return [(device['mac'], device['tags'])
                for device in json.loads(content)['devices']]

    def test_several_from_the_start(self):
        self.neutron.create_port({'port': self.neutron.port_2})
        server = self.boot(networks=[
            {'port': self.second}, {'port': self.first}])
        expected = {'eth0': '192.168.1.30', 'eth1': '192.168.1.3'}
        self.assertEqual(expected, self.addresses(server))
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.assertEqual(expected, self.addresses(server))
        self.delete(server)

    def test_addresses_that_change_behind_nova(self):
        server = self.boot()
        self.neutron._ports[self.first]['fixed_ips'][0]['ip_address'] = (
            '192.168.1.77')
        self.event(server, 'network-changed', self.first)
        for _ in range(600):
            if '192.168.1.77' in str(
                    self.api.get_server(server['id'])['addresses']):
                break
            time.sleep(0.1)
        self.compute = self.restart_compute_service(self.compute)
        self.assertEqual({'eth0': '192.168.1.77'}, self.addresses(server))
        self.delete(server)


class NamesTest(InterfacesTestCase):
    """Names, MAC and IP addresses of ports, over starts of all kinds.

    The containers end with the engine.
    """

    live_restore = False

    def setUp(self):
        self.dockerd = self.useFixture(dockerd.Dockerd(self.live_restore))
        self.useFixture(fixtures.EnvironmentVariable(
            'DOCKER_HOST', self.dockerd.url))
        super().setUp()
        self.flags(resume_guests_state_on_host_boot=True)
        self.compute = self.restart_compute_service(self.compute)
        self.third = uuids.third_port
        self.devices |= {names.host_device(self.third, None),
                         names.parked_device(self.third)}
        self.neutron.create_port({'port': self.neutron.port_2})
        self.neutron._ports[self.third] = {
            **self.neutron.port_2, 'id': self.third,
            'mac_address': 'fa:16:3e:00:00:03', 'fixed_ips': [{
                'ip_address': '192.168.1.31',
                'subnet_id': self.neutron.subnet_1['id']}]}

    def inside(self, server):
        macs = {each['ifname']: each['address']
                for each in self.ip(server, 'link')}
        return {name: (macs[name], address)
                for name, address in self.addresses(server).items()}

    def restart_engine(self, server):
        pid = self.container(server)['State']['Pid']
        self.dockerd.stop()
        self.dockerd.start()
        starts.wait_until(lambda: self.container(server)['State'][
            'Pid'] not in (0, pid), 60)
        self._wait_for_server_parameter(server, {
            'status': 'ACTIVE', 'OS-EXT-STS:task_state': None})

    def stop_and_start(self, server):
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.act(server, {'os-start': {}}, 'ACTIVE')

    def test_they_stay(self):
        server = self.boot(networks=[{'port': port} for port in (
            self.third, self.first, self.second)])
        expected = {
            'eth0': ('fa:16:3e:00:00:03', '192.168.1.31'),
            'eth1': (self.neutron.port_1['mac_address'], '192.168.1.3'),
            'eth2': (self.neutron.port_2['mac_address'], '192.168.1.30')}
        self.assertEqual(expected, self.inside(server))
        for start in (self.restart_engine, self.stop_and_start):
            start(server)
            self.assertEqual(expected, self.inside(server))
        self.detach(server, self.first)
        del expected['eth1']
        self.assertEqual(expected, self.inside(server))
        for start in (self.restart_engine, self.stop_and_start,
                      self.rebuild):
            start(server)
            self.assertEqual(expected, self.inside(server))
        self.delete(server)

    def rebuild(self, server):
        self.act(server, {'rebuild': {'imageRef': self.image_id}}, 'ACTIVE')


@base.one_nova
class LiveRestoreNamesTest(NamesTest):
    """The same, where containers outlive the engine."""

    live_restore = True

    def restart_engine(self, server):
        pid = self.container(server)['State']['Pid']
        self.dockerd.kill()
        self.dockerd.start()
        self.assertEqual(pid, self.container(server)['State']['Pid'])
