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

from nova_docker.spec import privileges
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

    def test_capabilities_of_the_flavor(self):
        self.assertEqual(
            {'CapDrop': ['CHOWN'], 'CapAdd': ['MKNOD', 'NET_ADMIN']},
            security.capabilities(True, True, ('MKNOD',), ('CHOWN',)))
        self.assertEqual(
            {'CapDrop': ['ALL', 'MKNOD'], 'CapAdd': ['KILL']},
            security.capabilities(True, False, ('KILL',), ('ALL',)))

    def test_capability_that_is_needed_and_dropped(self):
        for arguments in ((True, True, (), ('NET_ADMIN',)),
                          (False, False, ('NET_RAW',), ()),
                          (True, False, ('KILL',), ('KILL',))):
            self.assertRaises(ValueError, security.capabilities, *arguments)

    def test_new_privileges(self):
        # Said either way: the engine may be configured to another default.
        self.assertEqual(['no-new-privileges:false'],
                         security.options(new_privileges=True))


class OfFlavorTest(base.BaseTestCase):

    def of(self, docker, **changes):
        return security.of_flavor(docker, **(dict(
            raw_sockets=True, net_admin=False,
            new_privileges=False) | changes))

    def test_nothing_said_is_the_default(self):
        default = security.host_config()
        for docker in ({}, {'privileged': False, 'nesting': False,
                            'read_only_rootfs': False}):
            found = self.of(docker)
            self.assertEqual({key: default[key] for key in found}, found)

    def test_privileged(self):
        found = self.of({'privileged': True})
        self.assertIs(True, found['Privileged'])
        self.assertEqual([], found['CapDrop'])
        self.assertEqual(['no-new-privileges:false'], found['SecurityOpt'])

    def test_nesting(self):
        found = self.of({'nesting': True})
        self.assertNotIn('Privileged', found)
        self.assertNotIn('Devices', found)
        # The engine masks what it always does.
        self.assertNotIn('MaskedPaths', found)
        self.assertEqual(
            (['MKNOD', 'NET_ADMIN', 'SYS_ADMIN', 'SYS_PTRACE'], []),
            (found['CapAdd'], found['CapDrop']))
        for name in ('kernel', 'sunrpc'):
            self.assertIn(f'/proc/sys/{name}', found['ReadonlyPaths'])
        self.assertFalse({'/proc/sys', '/proc/sys/net'} &
                         {*found['ReadonlyPaths']})
        self.assertEqual(
            ['no-new-privileges:false', 'apparmor=unconfined',
             'seccomp=unconfined'], found['SecurityOpt'])

    def test_nesting_with_what_else_the_flavor_says(self):
        found = self.of({
            'nesting': True, 'cap_add': ('SYS_RESOURCE',),
            'cap_drop': ('KILL',), 'seccomp_profile': 'mine',
            'security_opt': ('no-new-privileges', 'systempaths=unconfined')},
            seccomp='{}')
        self.assertIn('SYS_RESOURCE', found['CapAdd'])
        self.assertIn('SYS_ADMIN', found['CapAdd'])
        self.assertEqual(['KILL'], found['CapDrop'])
        self.assertEqual(['no-new-privileges:true', 'apparmor=unconfined',
                          'seccomp={}'], found['SecurityOpt'])
        self.assertEqual(([], []), (found['MaskedPaths'],
                                    found['ReadonlyPaths']))
        self.assertRaises(ValueError, self.of, {
            'nesting': True, 'cap_drop': ('SYS_ADMIN',)})

    def test_privileged_leaves_nothing_to_say(self):
        for other in ({'cap_add': ('KILL',)}, {'cap_drop': ('KILL',)},
                      {'seccomp_profile': 'mine'},
                      {'apparmor_profile': 'mine'},
                      {'security_opt': ('label=type:a',)},
                      {'nesting': True}):
            self.assertRaises(ValueError, self.of,
                              {'privileged': True, **other})

    def test_options(self):
        self.assertEqual(
            ['no-new-privileges:true', 'label=type:a', 'apparmor=mine',
             'seccomp={}'],
            self.of({'security_opt': ('label=type:a',),
                     'apparmor_profile': 'mine', 'seccomp_profile': 'mine'},
                    seccomp='{}')['SecurityOpt'])
        self.assertEqual(
            ['no-new-privileges:true', 'seccomp=unconfined'],
            self.of({'seccomp_profile': 'unconfined'})['SecurityOpt'])

    def test_the_flavor_says_whether_privileges_are_new(self):
        for said, kind, wanted in (
                ('no-new-privileges', True, 'true'),
                ('no-new-privileges:true', True, 'true'),
                ('no-new-privileges:false', False, 'false')):
            self.assertEqual(
                [f'no-new-privileges:{wanted}'],
                self.of({'security_opt': (said,)},
                        new_privileges=kind)['SecurityOpt'])

    def test_system_paths(self):
        found = self.of({'security_opt': ('systempaths=unconfined',)})
        self.assertEqual([], found['MaskedPaths'])
        self.assertEqual(['no-new-privileges:true'], found['SecurityOpt'])

    def test_the_rest(self):
        found = self.of({
            'runtime': 'runsc', 'read_only_rootfs': True,
            'devices': (privileges.Device('/dev/a', '/dev/b', 'r'),)})
        self.assertEqual('runsc', found['Runtime'])
        self.assertIs(True, found['ReadonlyRootfs'])
        self.assertEqual([{'PathOnHost': '/dev/a', 'PathInContainer': '/dev/b',
                           'CgroupPermissions': 'r'}], found['Devices'])
