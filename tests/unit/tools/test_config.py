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
import pathlib
import shlex

import fixtures
from oslo_serialization import jsonutils
from oslotest import base

from evalcloud import config
from evalcloud import criu
from evalcloud import services
from evalcloud import settings
from evalcloud import supervisor
from tests.unit.tools import base as tools_base


class ConfigTestCase(tools_base.CacheTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            criu, 'path', autospec=True, return_value=pathlib.Path('/c')))

    def _cloud(self, **options):
        return settings.Settings(state=self.folder, password='s3cret',
                                 **options)

    def _parse(self, text):
        parser = configparser.RawConfigParser(strict=True)
        parser.read_string(text)
        return parser


class SettingsTest(ConfigTestCase):

    def test_save_and_load(self):
        cloud = self._cloud(network='ovs', nova='33', computes=3)
        cloud.save()
        self.assertEqual(cloud, settings.load(self.folder))
        self.assertEqual(0o600, (
            self.folder / 'cloud.json').stat().st_mode & 0o777)
        self.assertEqual('2026.1', cloud.series)

    def test_cloud_of_an_earlier_version(self):
        self._cloud().save()
        file = self.folder / 'cloud.json'
        values = jsonutils.loads(file.read_text())
        del values['computes']
        file.write_text(jsonutils.dumps(values))
        self.assertEqual(1, settings.load(self.folder).computes)

    def test_no_cloud(self):
        self.assertIsNone(settings.load(self.folder))

    def test_own_engine(self):
        cloud = self._cloud()
        self.assertEqual(f'unix://{self.folder}/engine/docker.sock',
                         cloud.docker_host(cloud.controller))
        self.assertEqual(self.folder / 'engine/cdi',
                         cloud.cdi_dir(cloud.controller))

    def test_given_engine(self):
        cloud = self._cloud(engine_url='unix:///x.sock', engine_cdi='/y')
        self.assertEqual('unix:///x.sock',
                         cloud.docker_host(cloud.controller))
        self.assertEqual(pathlib.Path('/y'), cloud.cdi_dir(cloud.controller))


class NovaComputeTest(ConfigTestCase):

    def _sections(self, **options):
        cloud = self._cloud(**options)
        return self._parse(config.ini(
            config._nova_compute(cloud, cloud.controller)))

    def test_suspend(self):
        self.assertEqual('freeze', self._sections()['docker']['suspend'])
        self.has_criu.return_value = True
        found = self._sections()['docker']
        self.assertEqual(('checkpoint', '/c/criu'),
                         (found['suspend'], found['criu']))
        self.assertEqual('freeze', self._sections(
            engine_url='unix:///x.sock')['docker']['suspend'])

    def test_docker(self):
        found = self._sections()
        self.assertEqual('docker.DockerDriver',
                         found['DEFAULT']['compute_driver'])
        self.assertEqual(f'unix://{self.folder}/engine/docker.sock',
                         found['docker']['url'])
        self.assertEqual(f'{self.folder}/engine/cdi',
                         found['docker']['cdi_spec_dir'])

    def test_privsep_of_every_context(self):
        found = self._sections()
        for context in ('nova_sys_admin', 'vif_plug_ovs_privileged',
                        'nova_docker_privileged', 'nova_docker_shares',
                        'nova_docker_moves'):
            self.assertIn('privsep-helper --config-file',
                          found[context]['helper_command'])

    def test_no_database(self):
        cloud = self._cloud()
        self.assertNotIn('s3cret@localhost', config.ini(
            config._nova_compute(cloud, cloud.controller)))
        self.assertIn('s3cret@localhost', config.ini(config._nova(cloud)))

    def test_resize(self):
        """Where there is no other host it is on the same one."""
        for computes, same in ((1, 'True'), (2, 'False')):
            self.assertEqual(same, self._sections(computes=computes)[
                'DEFAULT']['allow_resize_to_same_host'])

    def test_refusals(self):
        """Where there is no other host they are not tried again."""
        for computes, once in ((1, True), (2, False)):
            self.assertIs(once, 'max_attempts' in config._nova(
                self._cloud(computes=computes))['scheduler'])

    def test_another_driver(self):
        found = self._sections(compute_driver='fake.FakeDriver')
        self.assertNotIn('docker', found)


class NetworkTest(ConfigTestCase):

    def test_ovn(self):
        cloud = self._cloud()
        found = self._parse(config.ini(config._ml2(cloud, cloud.controller)))
        self.assertEqual('ovn', found['ml2']['mechanism_drivers'])
        self.assertEqual('geneve', found['ml2']['project_network_types'])

    def test_ovs(self):
        cloud = self._cloud(network='ovs')
        found = self._parse(config.ini(config._ml2(cloud, cloud.controller)))
        self.assertEqual('openvswitch', found['ml2']['mechanism_drivers'])
        self.assertEqual('openvswitch',
                         found['securitygroup']['firewall_driver'])
        found = self._parse(config.ini(
            config._neutron(cloud, cloud.controller)))
        self.assertEqual('router,qos,placement,trunk',
                         found['DEFAULT']['service_plugins'])

    def test_dnsmasq_may_read_its_leases(self):
        cloud = self._cloud(network='ovs')
        found = self._parse(config.ini(
            config._agents(cloud, cloud.controller)))
        self.useFixture(fixtures.MockPatchObject(
            pathlib.Path, 'read_text', return_value=''))
        file = pathlib.Path(found['DEFAULT']['dnsmasq_config_file'])
        self.assertEqual('user=root\n', config.render(cloud)[file])

    def test_ovs_with_iptables(self):
        cloud = self._cloud(network='ovs', firewall='iptables_hybrid')
        found = self._parse(config.ini(config._ml2(cloud, cloud.controller)))
        self.assertEqual('iptables_hybrid',
                         found['securitygroup']['firewall_driver'])


class CloudsYamlTest(ConfigTestCase):

    def test_clouds(self):
        text = config.clouds_yaml(self._cloud())
        self.assertIn('  nova-docker:\n', text)
        self.assertIn('  nova-docker-demo:\n', text)
        self.assertIn('      project_name: demo\n', text)


class SupervisorTest(ConfigTestCase):

    def _configuration(self, **options):
        return self._parse(supervisor.configuration(self._cloud(**options)))

    def test_one_section_a_program(self):
        for network in ('ovn', 'ovs'):
            cloud = self._cloud(network=network)
            names = [each.name for each in services.programs(cloud)]
            self.assertEqual(sorted(set(names)), sorted(names))
            found = self._configuration(network=network)
            self.assertEqual(
                {f'program:{name}' for name in names},
                {name for name in found.sections()
                 if name.startswith('program:')})

    def test_words_survive(self):
        found = self._configuration()['program:rabbitmq']
        pairs = shlex.split(found['environment'].replace('",', '" '))
        self.assertIn('RABBITMQ_NODENAME=nova-docker@localhost', pairs)
        self.assertIn(
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel '
            'inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none '
            '+sbwtdcpu none +sbwtdio none', pairs)

    def test_driver_is_that_of_the_clouds_checkout(self):
        found = self._configuration(source=pathlib.Path('/checkout'))
        for name in ('nova-compute', 'nova-conductor', 'nova-api'):
            self.assertIn('PYTHONPATH="/checkout"',
                          found[f'program:{name}']['environment'], name)

    def test_percent(self):
        self.assertEqual('"100%%"', supervisor._quoted('100%'))

    def test_agents_of_the_network_only(self):
        self.assertIn('program:ovn-controller', self._configuration())
        found = self._configuration(network='ovs')
        self.assertNotIn('program:ovn-controller', found)
        self.assertIn('program:neutron-l3-agent', found)

    def test_given_engine_is_not_run(self):
        self.assertIn('program:dockerd', self._configuration())
        self.assertNotIn('program:dockerd', self._configuration(
            engine_url='unix:///x.sock', engine_cdi='/y'))


class WsgiTest(ConfigTestCase):

    def test_ports_are_on_loopback_and_differ(self):
        texts = [each.wsgi for each in services.programs(self._cloud())
                 if each.wsgi]
        sockets = {self._parse(text)['uwsgi']['http-socket']
                   for text in texts}
        self.assertEqual(6, len(sockets))
        for each in sockets:
            self.assertThat(each, base.testtools.matchers.StartsWith(
                '127.0.0.1:'))

    def test_parts_of_an_image(self):
        """Glance's client sends 1 MiB, to which uWSGI adds a header."""
        for each in services.programs(self._cloud()):
            if each.wsgi:
                found = self._parse(each.wsgi)['uwsgi']
                self.assertGreater(found.getint('chunked-input-limit'),
                                   (1 << 20) + 100)


class PublicTest(ConfigTestCase):

    def test_no_secret(self):
        self.assertNotIn('s3cret', jsonutils.dumps(
            settings.public(self._cloud())))
