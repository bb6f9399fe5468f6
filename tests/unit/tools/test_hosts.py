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

import configparser
import re
from unittest import mock

import fixtures

from evalcloud import bringup
from evalcloud import commands
from evalcloud import config
from evalcloud import network
from evalcloud import progress
from evalcloud import services
from evalcloud import settings
from evalcloud import supervisor
from evalcloud import underlay
from tests.unit.tools import base as tools_base


class HostsTestCase(tools_base.CacheTestCase):

    def _cloud(self, computes=2, **options):
        return settings.Settings(state=self.folder, password='s3cret',
                                 computes=computes, **options)

    def _files(self, cloud):
        """Parsed configuration files, without those that need the venv."""
        self.useFixture(fixtures.MockPatchObject(
            config, '_AS_SHIPPED', {'': ()}))
        found = {}
        for file, text in services.files(cloud).items():
            if file.name.startswith(('neutron', 'nova', 'ml2', 'agents')):
                found[file] = configparser.RawConfigParser()
                found[file].read_string(text)
        return found


class OneHostTest(HostsTestCase):
    """The default: the machine itself, and nothing apart from it."""

    def test_host(self):
        cloud = self._cloud(computes=1)
        self.assertEqual([cloud.controller], cloud.compute_hosts)
        self.assertEqual([cloud.controller], cloud.all_hosts)
        self.assertEqual('compute-1', cloud.controller.name)
        self.assertEqual(self.folder, cloud.controller.folder)
        self.assertEqual([], cloud.controller.enter)
        self.assertEqual([], underlay.namespaces(cloud))
        self.assertEqual({'br-ex': '172.24.4.1/24'},
                         network._legs(cloud, cloud.controller))

    def test_programs(self):
        for kind in ('ovn', 'ovs'):
            for each in services.programs(self._cloud(1, network=kind)):
                self.assertNotIn('@', each.name)
                self.assertNotIn('nsenter', each.command)
                self.assertNotEqual('haproxy', each.name)


class SeveralHostsTest(HostsTestCase):

    def _names(self, cloud, suffix):
        return {each.name.removesuffix(suffix)
                for each in services.programs(cloud)
                if each.name.endswith(suffix)}

    def test_programs_of_a_host(self):
        for kind, agents in (
                ('ovn', {'ovn-controller', 'neutron-ovn-metadata-agent'}),
                ('ovs', {'neutron-openvswitch-agent'})):
            for host in ('@compute-1', '@compute-2'):
                self.assertEqual(
                    {'ovsdb-server', 'ovs-vswitchd', 'dockerd', 'lxcfs',
                     'nova-compute'} | agents,
                    self._names(self._cloud(network=kind), host))

    def test_controller_runs_no_servers(self):
        for kind in ('ovn', 'ovs'):
            names = {each.name for each in services.programs(
                self._cloud(network=kind))}
            self.assertNotIn('nova-compute', names)
            self.assertNotIn('dockerd', names)
            self.assertNotIn('neutron-ovn-metadata-agent', names)
            self.assertIn('ovs-vswitchd', names)

    def test_agents_wait_for_neutron(self):
        agents = {each.name for each in services.programs(
            self._cloud(network='ovs')) if each.agent}
        self.assertEqual(
            {'neutron-openvswitch-agent', 'neutron-dhcp-agent',
             'neutron-openvswitch-agent@compute-1', 'neutron-l3-agent',
             'neutron-openvswitch-agent@compute-2',
             'neutron-metadata-agent'}, agents)

    def test_commands_enter_the_host(self):
        cloud = self._cloud()
        found = {each.name: each for each in services.programs(cloud)}
        self.assertEqual(
            ['nsenter', '--net=/run/netns/compute-2',
             f'--mount={self.folder}/run/mounts/compute-2'],
            found['nova-compute@compute-2'].command[:3])
        self.assertEqual(self.folder / 'compute-2/run/ovs',
                         found['nova-compute@compute-2'].env['OVS_RUNDIR'])
        self.assertNotIn('nsenter', found['nova-conductor'].command)

    def test_each_program_has_a_log(self):
        cloud = self._cloud()
        found = configparser.RawConfigParser(strict=True)
        found.read_string(supervisor.configuration(cloud))
        logs = {found[name]['stdout_logfile'] for name in found.sections()
                if name.startswith('program:')}
        self.assertEqual(len(services.programs(cloud)), len(logs))

    def test_nothing_is_shared(self):
        """Two hosts with one of these would be one host to a service."""
        for kind in ('ovn', 'ovs'):
            cloud = self._cloud(network=kind)
            files = self._files(cloud)
            for name, options in {
                'nova/nova-compute.conf': [
                    ('DEFAULT', 'host'), ('DEFAULT', 'my_ip'),
                    ('DEFAULT', 'state_path'), ('docker', 'url'),
                    ('docker', 'cdi_spec_dir'), ('docker', 'state_dir'),
                    ('os_vif_ovs', 'ovsdb_connection'),
                    ('oslo_concurrency', 'lock_path'),
                    ('nova_docker_privileged', 'helper_command')],
                'neutron/neutron.conf': [
                    ('DEFAULT', 'host'), ('DEFAULT', 'state_path'),
                    ('oslo_concurrency', 'lock_path')],
                'neutron/ml2_conf.ini': [
                    ('ovs', 'ovsdb_connection'), ('ovs', 'local_ip')],
                'neutron/agents.ini': [('ovs', 'ovsdb_connection')],
            }.items():
                for section, option in options:
                    values = {files[host.etc / name][section][option]
                              for host in cloud.compute_hosts}
                    self.assertEqual(2, len(values), (name, option))

    def test_physical_network_of_the_controller_only(self):
        cloud = self._cloud(network='ovs')
        files = self._files(cloud)
        self.assertEqual(['public:br-ex', '', ''], [
            files[host.etc / 'neutron/ml2_conf.ini']['ovs']['bridge_mappings']
            for host in cloud.all_hosts])
        self.assertEqual(
            ['', settings.BANDWIDTHS, settings.BANDWIDTHS],
            [files[host.etc / 'neutron/ml2_conf.ini']['ovs'][
                'resource_provider_bandwidths'] for host in cloud.all_hosts])

    def test_ovn_options(self):
        cloud = self._cloud()
        controller, one, two = (
            ' '.join(network._ovn_options(cloud, host))
            for host in cloud.all_hosts)
        self.assertIn('enable-chassis-as-gw', controller)
        for options in one, two:
            self.assertNotIn('enable-chassis-as-gw', options)
            self.assertNotIn('br-ex', options)
        self.assertIn('ovn-encap-ip="172.24.6.11"', one)
        self.assertIn('ovn-encap-ip="172.24.6.12"', two)

    def test_addresses_on_bridges(self):
        cloud = self._cloud()
        self.assertEqual(
            [{'br-ex': '172.24.4.1/24', 'br-phys': '172.24.6.1/24'},
             {'br-phys': '172.24.6.11/24'}, {'br-phys': '172.24.6.12/24'}],
            [network._legs(cloud, host) for host in cloud.all_hosts])

    def test_addresses_are_set_in_the_host(self):
        ran = []
        self.useFixture(fixtures.MockPatchObject(
            progress, 'run', side_effect=lambda *words: ran.append(words)))
        cloud = self._cloud()
        control = mock.create_autospec(supervisor.Supervisor, instance=True)
        host = cloud.compute_hosts[0]
        network._start(cloud, host, control)
        self.assertIn((*host.enter, 'ip', 'address', 'replace',
                       '172.24.6.11/24', 'dev', 'br-phys'), ran)
        self.assertEqual(
            [mock.call('ovsdb-server@compute-1'),
             mock.call('ovs-vswitchd@compute-1')],
            control.start.call_args_list)

    def test_proxy_listens_in_the_hosts_only(self):
        text = services.haproxy_cfg(self._cloud())
        found = re.findall(r'bind (.*)', text)
        self.assertIn('127.0.0.1:15000 namespace compute-1', found)
        self.assertIn('127.0.0.1:15672 namespace compute-2', found)
        for each in found:
            self.assertRegex(each, r'^127\.0\.0\.1:\d+ namespace compute-\d$')

    def test_link_names_fit(self):
        """A device has at most 15 characters."""
        created = []
        self.useFixture(fixtures.MockPatchObject(
            progress, 'run', side_effect=lambda *words: created.append(words)))
        cloud = self._cloud(computes=9)
        for host in cloud.all_hosts:
            underlay._link(host, underlay.MANAGEMENT)
            underlay._link(host, underlay.TUNNEL)
        names = [words[words.index('add') + 1] for words in created
                 if 'add' in words]
        self.assertEqual(20, len(set(names)))
        for name in (*names, underlay.MANAGEMENT, underlay.TUNNEL):
            self.assertLessEqual(len(name), 15)


class NamespacesTest(HostsTestCase):

    def test_names(self):
        self.assertEqual(['underlay', 'compute-1', 'compute-2'],
                         underlay.namespaces(self._cloud()))

    def test_taken(self):
        (self.folder / 'compute-2').touch()
        self.useFixture(fixtures.MockPatchObject(
            network, '_NETNS', self.folder))
        self.useFixture(fixtures.MockPatchObject(
            network, '_LINKS', self.folder / 'none'))
        self.assertRaisesRegex(progress.Failure, 'compute-2', network.check,
                               self._cloud())
        network.check(self._cloud(computes=1))


class CommandsTest(HostsTestCase):

    def test_computes(self):
        parse = commands.parser().parse_args
        self.assertIsNone(parse(['up']).computes)
        self.assertEqual(2, parse(['up', '--computes', '2']).computes)

    def test_the_running_cloud_has_another_number(self):
        args = commands.parser().parse_args(['up', '--computes', '2'])
        commands._same(args, self._cloud(computes=2))
        self.assertRaises(progress.Failure, commands._same, args,
                          self._cloud(computes=1))

    def test_one_engine_makes_no_hosts(self):
        args = commands.parser().parse_args(
            ['up', '--computes', '2', '--engine', 'unix:///x.sock'])
        self.assertRaisesRegex(progress.Failure, '--engine or --computes',
                               commands._new, args, self.folder)

    def test_firewall_of_the_running_cloud(self):
        args = commands.parser().parse_args(
            ['up', '--network', 'ovs', '--firewall', 'iptables_hybrid'])
        commands._same(args, self._cloud(
            network='ovs', firewall='iptables_hybrid'))
        self.assertRaises(progress.Failure, commands._same, args,
                          self._cloud(network='ovs'))

    def test_ovn_has_its_own_firewall(self):
        args = commands.parser().parse_args(
            ['up', '--firewall', 'iptables_hybrid'])
        self.assertRaisesRegex(progress.Failure, '--network ovs',
                               commands._new, args, self.folder)

    def test_exports_of_a_host(self):
        found = bringup.exports(self._cloud(), 'admin', 'compute-2')
        self.assertIn(f"DOCKER_HOST='unix://{self.folder}/compute-2/engine/",
                      found)
        self.assertIn(f"OVS_RUNDIR='{self.folder}/compute-2/run/ovs'", found)
        self.assertIn('/compute-1/engine/',
                      bringup.exports(self._cloud(), 'admin'))

    def test_exports_of_no_host(self):
        self.assertRaisesRegex(progress.Failure, 'compute-1, compute-2',
                               bringup.exports, self._cloud(), 'admin',
                               'controller')
