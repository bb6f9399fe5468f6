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

from oslotest import base

from nova_docker.spec import container
from nova_docker.spec import names
from nova_docker.spec import system


class WantedTest(base.BaseTestCase):

    def test_only_where_it_is_said(self):
        self.assertFalse(system.wanted({}))
        self.assertFalse(system.wanted({'system_container': 'false'}))
        self.assertTrue(system.wanted({'system_container': 'True'}))

    def test_malformed(self):
        error = self.assertRaises(ValueError, system.wanted,
                                  {'system_container': 'systemd'})
        self.assertIn('docker_system_container', str(error))

    def test_there_is_one_first_process(self):
        error = self.assertRaises(
            ValueError, system.wanted,
            {'system_container': 'true', 'init': 'true'})
        self.assertIn('exclude each other', str(error))
        self.assertTrue(system.wanted(
            {'system_container': 'true', 'init': 'false'}))
        self.assertFalse(system.wanted(
            {'system_container': 'false', 'init': 'true'}))


class BodyTest(base.BaseTestCase):

    @staticmethod
    def plain(environment=None):
        return container.build(
            names.labels('uuid1', 'instance-1', 'host1', 'project1'),
            'web', 'ref', environment or {},
            {'Memory': 512 << 20} | container.log(10, 2), {}, {})

    def body(self, environment=None, image_config=None):
        return system.body(self.plain(environment), image_config or {}, 512)

    def test_what_an_init_needs(self):
        body = self.body()
        self.assertIs(True, body['Tty'])
        self.assertIs(True, body['OpenStdin'])
        self.assertEqual('SIGRTMIN+3', body['StopSignal'])
        self.assertEqual(['container=docker', 'product_name=OpenStack Nova'],
                         body['Env'])
        self.assertEqual(
            [[names.cdi_device(device)]
             for device in ('uuid1', names.system_device('uuid1'))],
            [request['DeviceIDs']
             for request in body['HostConfig']['DeviceRequests']])

    def test_the_rest_is_that_of_any_container(self):
        plain = self.plain()['HostConfig']
        config = self.body()['HostConfig']
        self.assertEqual(
            {'DeviceRequests', 'Tmpfs'},
            {key for key, value in config.items()
             if key not in plain or value != plain[key]})
        self.assertLessEqual(plain.keys(), config.keys())

    def test_tmpfs_are_bounded(self):
        tmpfs = self.body()['HostConfig']['Tmpfs']
        self.assertEqual({
            '/run': f'exec,mode=755,size={(512 << 20) // 5}',
            '/run/lock': f'mode=1777,size={5 << 20}',
            '/tmp': f'exec,mode=1777,size={256 << 20}'}, tmpfs)

    def test_the_owner_of_the_image_wins(self):
        body = self.body(
            {'Tty': False, 'OpenStdin': False, 'StopSignal': 'SIGPWR',
             'Env': ['container=lxc', 'A=b']}, {'StopSignal': 'SIGTERM'})
        self.assertIs(False, body['Tty'])
        self.assertEqual('SIGPWR', body['StopSignal'])
        self.assertEqual(['container=lxc', 'A=b',
                          'product_name=OpenStack Nova'], body['Env'])
        self.assertEqual('SIGTERM', self.body(
            image_config={'StopSignal': 'SIGTERM'})['StopSignal'])
