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

from nova_docker.spec import security


class SecurityTest(base.BaseTestCase):

    def test_default_isolation(self):
        config = security.host_config()
        self.assertIs(False, config['Privileged'])
        self.assertEqual('none', config['NetworkMode'])
        self.assertEqual('private', config['IpcMode'])
        self.assertEqual('private', config['CgroupnsMode'])
        self.assertIn('MKNOD', config['CapDrop'])
        self.assertEqual(['no-new-privileges:true'], config['SecurityOpt'])

    def test_nothing_of_the_host_gets_in(self):
        config = security.host_config()
        self.assertEqual([], config['CapAdd'])
        for key in ('Binds', 'Mounts', 'Devices', 'VolumesFrom',
                    'DeviceCgroupRules'):
            self.assertNotIn(key, config)
        for key in ('PidMode', 'UTSMode'):
            self.assertEqual('', config[key])

    def test_each_caller_has_its_own(self):
        security.host_config()['CapDrop'].clear()
        self.assertEqual(['MKNOD'], security.host_config()['CapDrop'])

    def test_capabilities(self):
        self.assertEqual(
            {'CapDrop': ['MKNOD', 'NET_RAW'], 'CapAdd': []},
            security.capabilities(raw_sockets=False, net_admin=False))
        self.assertEqual(
            {'CapDrop': ['MKNOD'], 'CapAdd': ['NET_ADMIN']},
            security.capabilities(raw_sockets=True, net_admin=True))

    def test_new_privileges(self):
        # Said either way: the engine may be configured to another default.
        self.assertEqual(['no-new-privileges:false'],
                         security.options(new_privileges=True))
