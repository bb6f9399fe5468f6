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
from unittest import mock

import fixtures

from evalcloud import bringup
from evalcloud import commands
from evalcloud import config
from evalcloud import libvirtd
from evalcloud import network
from evalcloud import packages
from evalcloud import progress
from evalcloud import services
from evalcloud import settings
from evalcloud import underlay
from tests.unit.tools import base as tools_base


class LibvirtTestCase(tools_base.CacheTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            config, '_AS_SHIPPED', {'': ()}))

    def _cloud(self, **options):
        return settings.Settings(**{
            'state': self.folder, 'password': 's3cret',
            'optional': ('libvirt',), **options})

    def _sections(self, cloud, file):
        parser = configparser.RawConfigParser(strict=True)
        parser.read_string(services.files(cloud)[file])
        return parser


class HostsTest(LibvirtTestCase):

    def test_one_docker_host(self):
        """It stays this machine, and has an address for the other one."""
        cloud = self._cloud()
        [host], [other] = cloud.compute_hosts, cloud.vm_hosts
        self.assertEqual(('compute-1', '172.24.5.1', False),
                         (host.name, host.address, host.apart))
        self.assertEqual(('libvirt-1', '172.24.5.21', '172.24.6.21', True),
                         (other.name, other.address, other.tunnel,
                          other.apart))
        self.assertEqual([host, other], cloud.all_hosts)
        self.assertEqual(['underlay', 'libvirt-1'], underlay.namespaces(cloud))
        self.assertEqual(
            {'br-ex': '172.24.4.1/24', 'br-phys': '172.24.6.1/24'},
            network._legs(cloud, host))

    def test_several_docker_hosts(self):
        cloud = self._cloud(computes=2)
        self.assertEqual(
            ['controller', 'compute-1', 'compute-2', 'libvirt-1'],
            [host.name for host in cloud.all_hosts])
        self.assertEqual(['compute-1', 'compute-2'],
                         [host.name for host in cloud.compute_hosts])

    def test_without(self):
        cloud = self._cloud(optional=())
        self.assertEqual([], cloud.vm_hosts)
        self.assertFalse(cloud.several)
        self.assertEqual('127.0.0.1', cloud.controller.address)
        self.assertEqual({}, libvirtd.files(cloud))

    def test_programs(self):
        found = {each.name: each for each in services.programs(self._cloud())}
        names = {name.removesuffix('@libvirt-1') for name in found
                 if name.endswith('@libvirt-1')}
        self.assertEqual(
            {'virtlogd', 'libvirtd', 'nova-compute', 'ovsdb-server',
             'ovs-vswitchd', 'ovn-controller', 'neutron-ovn-metadata-agent'},
            names)
        self.assertIn('nova-compute', found)
        self.assertEqual('nsenter', found['libvirtd@libvirt-1'].command[0])
        # It plugs ports by ovs-vsctl.
        self.assertEqual(self.folder / 'libvirt-1/run/ovs',
                         found['libvirtd@libvirt-1'].env['OVS_RUNDIR'])

    def test_its_services_are_found(self):
        self.assertIn('bind 127.0.0.1:15000 namespace libvirt-1',
                      services.haproxy_cfg(self._cloud()))


class FilesTest(LibvirtTestCase):

    def test_nova_compute(self):
        cloud = self._cloud()
        found = self._sections(
            cloud, self.folder / 'libvirt-1/etc/nova/nova-compute.conf')
        self.assertEqual('libvirt.LibvirtDriver',
                         found['DEFAULT']['compute_driver'])
        self.assertEqual('libvirt-1', found['DEFAULT']['host'])
        self.assertEqual('qemu', found['libvirt']['virt_type'])
        self.assertNotIn('docker', found)
        found = self._sections(
            cloud, self.folder / 'etc/nova/nova-compute.conf')
        self.assertEqual('docker.DockerDriver',
                         found['DEFAULT']['compute_driver'])
        self.assertNotIn('libvirt', found)

    def test_hosts_are_kept_apart(self):
        for optional, wanted in (('libvirt',), True), ((), False):
            cloud = self._cloud(optional=optional)
            self.assertIs(wanted, config._nova(cloud)['scheduler'][
                'enable_isolated_aggregate_filtering'])

    def test_its_name_is_looked_up_in_a_file(self):
        texts = libvirtd.files(self._cloud())
        self.assertIn('172.24.5.21 libvirt-1',
                      texts[self.folder / 'libvirt-1/etc/hosts'])

    def test_places(self):
        """All that libvirt keeps is in the cloud's folder."""
        ran = []
        self.useFixture(fixtures.MockPatchObject(
            progress, 'run', side_effect=lambda *words: ran.append(words)))
        cloud = self._cloud()
        libvirtd.prepare(cloud)
        [host] = cloud.vm_hosts
        for place, name in (('/etc/libvirt', 'etc'), ('/run/libvirt', 'run'),
                            ('/var/lib/libvirt', 'lib')):
            own = self.folder / 'libvirt-1/libvirt' / name
            self.assertTrue(own.is_dir())
            self.assertIn((*host.enter, 'mount', '--bind', str(own), place),
                          ran)
        for words in ran:
            self.assertEqual(tuple(host.enter), words[:len(host.enter)])


class ImagesTest(LibvirtTestCase):

    def test_properties(self):
        for optional, wanted in (
                (('libvirt',), {'img_hv_type': 'docker',
                                'trait:CUSTOM_DOCKER': 'required'}),
                ((), {'img_hv_type': 'docker'})):
            self.assertEqual(wanted, self._cloud(
                optional=optional).image_properties)


class CheckTest(LibvirtTestCase):

    def test_architecture(self):
        architecture = self.useFixture(fixtures.MockPatchObject(
            packages, 'architecture', autospec=True,
            return_value='amd64')).mock
        libvirtd.check()
        architecture.return_value = 'arm64'
        self.assertRaisesRegex(progress.Failure, 'x86-64', libvirtd.check)


class CommandsTest(LibvirtTestCase):

    def test_with(self):
        args = commands.parser().parse_args(
            ['up', '--with', 'libvirt', '--with', 'cinder'])
        self.assertEqual(('cinder', 'libvirt'), commands._optional(args))

    def test_install(self):
        """The binding is built when libvirt's headers are there."""
        calls = mock.Mock()
        for name in ('packages.install', 'engine.path', 'criu.works',
                     'pages.path', 'virtual_machine.disk',
                     'python.services_venv', 'python.add'):
            self.useFixture(fixtures.MockPatch(
                f'evalcloud.{name}', getattr(calls, name.replace('.', '_'))))
        bringup.install(self._cloud())
        [wanted] = calls.packages_install.call_args.args
        self.assertLessEqual(set(libvirtd.PACKAGES), set(wanted))
        self.assertEqual('python_add', calls.mock_calls[-1][0])
        self.assertIn('libvirt-python', calls.mock_calls[-1].args)
        calls.reset_mock()
        bringup.install(self._cloud(optional=()))
        self.assertFalse(calls.python_add.called)
        self.assertFalse(calls.virtual_machine_disk.called)
