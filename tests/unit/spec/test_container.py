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

LABELS = names.labels('uuid1', 'instance-1', 'host1', 'project1')


class ContainerTest(base.BaseTestCase):

    def build(self, **changes):
        values = dict(
            labels=LABELS, hostname='web', image='ref',
            environment={'Cmd': ['x']}, limits={'Memory': 1},
            dns=container.dns([], [], []), hosts={})
        return container.build(**(values | changes))

    def test_body(self):
        body = self.build()
        self.assertEqual('ref', body['Image'])
        self.assertEqual('web', body['Hostname'])
        self.assertEqual(['x'], body['Cmd'])
        self.assertEqual(LABELS, body['Labels'])
        self.assertEqual(1, body['HostConfig']['Memory'])
        self.assertEqual('none', body['HostConfig']['NetworkMode'])

    def test_hostname_that_the_kernel_refuses(self):
        longest = 'a' * 60 + '.net'
        self.assertEqual(longest, self.build(hostname=longest)['Hostname'])
        name = 'web.' + 'a' * 60 + '.net'
        self.assertEqual('web', self.build(hostname=name)['Hostname'])
        self.assertEqual('a' * 64, container.kernel_hostname('a' * 70))
        self.assertEqual(
            {'ExtraHosts': [f'{name}:10.0.0.5', 'web:10.0.0.5']},
            container.hosts(name, '10.0.0.5'))

    def test_instance_without_a_host_name(self):
        self.assertIsNone(self.build(hostname=None)['Hostname'])
        self.assertEqual({'ExtraHosts': []},
                         container.hosts(None, '10.0.0.5'))

    def test_never_restarted_by_the_engine(self):
        self.assertEqual({'Name': 'no'},
                         self.build()['HostConfig']['RestartPolicy'])

    def test_has_its_cdi_device(self):
        self.assertEqual(
            [{'Driver': 'cdi', 'DeviceIDs': [names.cdi_device('uuid1')]}],
            self.build()['HostConfig']['DeviceRequests'])
        rescue = names.labels('uuid1', 'instance-1', 'host1', 'p', True)
        self.assertEqual(
            [names.cdi_device(names.device('uuid1', True))],
            self.build(labels=rescue)['HostConfig']['DeviceRequests'][0][
                'DeviceIDs'])

    def test_criu(self):
        self.assertEqual(
            {'org.criu.config': '/criu.conf'},
            self.build(limits=container.criu('/criu.conf'))['HostConfig'][
                'Annotations'])

    def test_environment_cannot_reach_host_config(self):
        body = self.build(environment={'HostConfig': {'Privileged': True}})
        self.assertIs(False, body['HostConfig']['Privileged'])

    def test_host_config_of_the_image(self):
        body = self.build(image_host={'Init': True, 'Privileged': True})
        self.assertIs(True, body['HostConfig']['Init'])
        self.assertIs(False, body['HostConfig']['Privileged'])

    def test_dns(self):
        self.assertEqual(
            {'Dns': ['10.0.0.2'], 'DnsSearch': ['a.example'],
             'DnsOptions': ['ndots:2']},
            container.dns(['10.0.0.2'], ['a.example'], ['ndots:2']))

    def test_instance_finds_itself(self):
        self.assertEqual({'ExtraHosts': ['web:10.0.0.5']},
                         container.hosts('web', '10.0.0.5'))
        self.assertEqual({'ExtraHosts': ['web:fd00::5']},
                         container.hosts('web', 'fd00::5'))
        self.assertEqual({'ExtraHosts': ['web:127.0.1.1']},
                         container.hosts('web', None))
        body = self.build(hosts=container.hosts('web', '10.0.0.5'))
        self.assertEqual(['web:10.0.0.5'], body['HostConfig']['ExtraHosts'])

    def test_log_is_bounded(self):
        self.assertEqual(
            {'Type': 'json-file',
             'Config': {'max-size': '10m', 'max-file': '2'}},
            container.log(10, 2)['LogConfig'])
