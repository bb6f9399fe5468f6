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

"""The life of a server, from create to delete."""

import re
import subprocess

from nova_docker.spec import names
from tests.functional import base

#: Bits of the capabilities in /proc/PID/status (linux/capability.h).
CAP_NET_ADMIN, CAP_NET_RAW = 12, 13


class ServersTest(base.FunctionalTestCase):

    def _may(self, server, capability):
        """Whether processes of a server can have a capability."""
        with open(f'/proc/{self.container(server)["State"]["Pid"]}/status'
                  ) as status:
            bounding = re.search('CapBnd:\t(.*)', status.read())[1]
        return bool(int(bounding, 16) >> capability & 1)

    def test_create_and_delete(self):
        server = self.boot()
        container = self.container(server)
        self.assertTrue(container['State']['Running'])
        self.assertEqual(server['id'],
                         container['Config']['Labels'][names.LABEL_INSTANCE])
        self.assertEqual(64 << 20, container['HostConfig']['Memory'])
        self.assertEqual(64 << 20, container['HostConfig']['MemorySwap'])
        self.delete(server)

    @base.one_nova
    def test_network_is_there_at_the_first_instruction(self):
        output = self.console(self.boot())
        before_ready = output.split('ready')[0]
        self.assertIn('192.168.1.3/24', before_ready)
        self.assertIn('fa:16:3e:4c:2c:30', before_ready)
        self.assertIn('mtu 1450', before_ready)
        self.assertIn('default via 192.168.1.1 dev eth0', before_ready)

    @base.one_nova
    def test_image_that_sets_up_its_interfaces(self):
        server = self.boot()
        self.assertFalse(self._may(server, CAP_NET_ADMIN))
        self.delete(server)
        self.admin_api.post_extra_spec(self.flavor_id, {'extra_specs': {
            'docker:net_admin': 'true'}})
        self.image_id = self.add_image(
            base.busybox.archive(), 'bb', properties={'docker_dhcp': 'true'})
        server = self.boot()
        before_ready = self.console(server).split('ready')[0]
        self.assertRegex(before_ready, 'eth0@.*,UP,')
        self.assertNotIn('192.168.1.', before_ready)
        self.assertTrue(self._may(server, CAP_NET_ADMIN))
        self.assertTrue(self._may(server, CAP_NET_RAW))
        self.delete(server)

    @base.one_nova
    def test_bandwidth_is_limited_at_the_first_instruction(self):
        self.admin_api.post_extra_spec(self.flavor_id, {'extra_specs': {
            'quota:vif_inbound_average': '1000',
            'quota:vif_inbound_peak': '1500',
            'quota:vif_inbound_burst': '100',
            'quota:vif_outbound_average': '2000',
            'quota:vif_outbound_peak': '2500',
            'quota:vif_outbound_burst': '200'}})
        server = self.boot()
        pid = self.container(server)['State']['Pid']
        for interface, speeds in (
                ('ifb-eth0', 'rate 8Mbit ceil 12Mbit burst 100Kb'),
                ('eth0', 'rate 16Mbit ceil 20Mbit burst 200Kb')):
            self.assertIn(speeds, subprocess.run(
                ['nsenter', f'--net=/proc/{pid}/ns/net',
                 'tc', 'class', 'show', 'dev', interface],
                check=True, stdout=subprocess.PIPE, text=True).stdout)
        before_ready = self.console(server).split('ready')[0]
        for interface in ('eth0@', 'ifb-eth0:'):
            self.assertRegex(before_ready,
                             f'{interface}.*,UP,.* qdisc htb ')
        self.assertFalse(self._may(server, CAP_NET_RAW))
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.assertEqual(2, self.restarts(server, 2))
        self.assertEqual(4, self.console(server).count(' qdisc htb '))
        self.delete(server)

    def test_stop_and_start(self):
        server = self.boot()
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.assertFalse(self.container(server)['State']['Running'])
        self.assertIn('ready', self.console(server))
        plugs = self.os_vif_unplug.call_count
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.assertEqual(plugs, self.os_vif_unplug.call_count,
                         'the port flapped')
        self.assertEqual(2, self.console(server).count('192.168.1.3/24'))
        self.delete(server)

    def test_reboot(self):
        server = self.boot()
        for number, kind in enumerate(('SOFT', 'HARD'), 2):
            self.console(server)
            self.act(server, {'reboot': {'type': kind}}, 'ACTIVE')
            self.assertEqual(number, self.restarts(server, number))
        self.delete(server)

    def restarts(self, server, expected):
        for _ in range(600):
            count = self.console(server).count('ready')
            if count == expected:
                break
        return count

    def test_pause_and_unpause(self):
        server = self.boot()
        self.act(server, {'pause': {}}, 'PAUSED')
        self.assertTrue(self.container(server)['State']['Paused'])
        self.act(server, {'unpause': {}}, 'ACTIVE')
        self.assertFalse(self.container(server)['State']['Paused'])
        self.act(server, {'pause': {}}, 'PAUSED')
        self.delete(server)

    def test_delete_stopped(self):
        server = self.boot()
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.delete(server)

    def test_rebuild(self):
        server = self.boot()
        before = self.container(server)['Id']
        self.act(server, {'rebuild': {'imageRef': self.image_id}}, 'ACTIVE')
        self.assertNotEqual(before, self.container(server)['Id'])
        self.assertIn('192.168.1.3/24', self.console(server))
        self.delete(server)

    def test_exit_by_itself_is_shutoff_at_once(self):
        server = self.boot()
        self.engine.kill_container(names.container_name(server['id']))
        self._wait_for_state_change(server, 'SHUTOFF')
        self.delete(server)

    def test_soft_delete_needs_no_container(self):
        server = self.boot()
        self.engine.remove_container(names.container_name(server['id']))
        self.delete(server)

    def test_hard_reboot_makes_a_lost_container_again(self):
        server = self.boot()
        self.engine.remove_container(names.container_name(server['id']))
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.assertIn('192.168.1.3/24', self.console(server))
        self.delete(server)

    def test_diagnostics(self):
        server = self.boot()
        found = self.api.api_get(
            f'/servers/{server["id"]}/diagnostics').body
        self.assertEqual('running', found['state'])
        self.assertEqual('docker', found['hypervisor'])
        self.assertEqual(64, found['memory_details']['maximum'])
        self.assertEqual('fa:16:3e:4c:2c:30',
                         found['nic_details'][0]['mac_address'])
        self.assertGreater(found['cpu_details'][0]['time'], 0)
        self.delete(server)

    @base.one_nova
    def test_two_servers_of_one_new_image_load_it_once(self):
        self.neutron.create_port({'port': self.neutron.port_2})
        servers = [
            self.api.post_server({'server': self._build_server(
                image_uuid=self.image_id, flavor_id=self.flavor_id,
                networks=[{'port': port['id']}])})
            for port in (self.neutron.port_1, self.neutron.port_2)]
        for server in servers:
            self._wait_for_state_change(server, 'ACTIVE')
        self.assertEqual(
            1, len(self.engine.list_images([names.IMAGE_REPOSITORY + '/*'])))
        for server in servers:
            self.api.delete_server(server['id'])
            self._wait_until_deleted(server)
        self.assert_nothing_left()
