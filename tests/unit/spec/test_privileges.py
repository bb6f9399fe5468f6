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

from nova_docker.spec import bandwidth
from nova_docker.spec import privileges

NOTHING = privileges.Allowed(False, (), (), ())
ENGINE = privileges.Engine(
    frozenset(('runc',)), frozenset(('seccomp',)), init=False)
WHOLE = privileges.Engine(
    frozenset(('runc', 'runsc')),
    frozenset(('seccomp', 'apparmor', 'selinux', 'userns')), init=True)
LIMITED = bandwidth.of_flavor({'quota:vif_inbound_average': '9'})


class CheckTest(base.BaseTestCase):

    def check(self, docker, limits=bandwidth.Limits(), is_system=False):
        privileges.check(docker, limits, is_system)

    def test_limits_that_could_be_lifted(self):
        for docker in ({'privileged': True}, {'nesting': True},
                       {'cap_add': ('KILL', 'NET_ADMIN')}):
            self.check(docker)
            self.assertRaises(ValueError, self.check, docker, LIMITED)
        for docker in ({}, {'privileged': False}, {'cap_add': ('KILL',)},
                       {'cap_drop': ('NET_ADMIN',)}):
            self.check(docker, LIMITED)

    def test_two_first_processes(self):
        self.check({'init': True})
        self.check({'init': False}, is_system=True)
        self.assertRaises(ValueError, self.check, {'init': True},
                          is_system=True)


class OfHostTest(base.BaseTestCase):

    def test_power_over_the_host_is_refused(self):
        for docker, name in (
                ({'privileged': True}, 'docker:privileged'),
                ({'nesting': True}, 'docker:nesting'),
                ({'cap_add': ('KILL', 'SYS_ADMIN')}, 'SYS_ADMIN'),
                ({'security_opt': ('systempaths=unconfined',)},
                 'systempaths'),
                ({'security_opt': ('label=disable',)}, 'label=disable'),
                # A type of SELinux may confine nothing.
                ({'security_opt': ('label=type:spc_t',)}, 'spc_t'),
                ({'seccomp_profile': 'unconfined'}, 'seccomp_profile'),
                ({'apparmor_profile': 'unconfined'}, 'apparmor_profile'),
                ({'ulimit_rtprio': (1, 1)}, 'ulimit_rtprio'),
                ({'ulimit_nice': (40, 40)}, 'ulimit_nice')):
            reason, = privileges.of_host(docker, NOTHING)
            self.assertIn(name, reason)
            self.assertIn('allow_privileged', reason)
            self.assertEqual([], list(privileges.of_host(
                docker, privileges.Allowed(True, (), (), ()))))

    def test_the_rest_is_not(self):
        docker = {
            'privileged': False, 'nesting': False, 'cap_drop': ('ALL',),
            'cap_add': ('NET_ADMIN', 'KILL'), 'seccomp_profile': 'mine',
            'security_opt': ('no-new-privileges:false',),
            'ulimit_nofile': (1, 1),
            'runtime': 'runsc'}
        self.assertEqual([], list(privileges.of_host(docker, NOTHING)))

    def test_every_capability_but_harmless_ones(self):
        for capability in privileges.CAPABILITIES:
            refused = list(privileges.of_host(
                {'cap_add': (capability,)}, NOTHING))
            self.assertEqual(
                capability not in privileges._HARMLESS, bool(refused))
        self.assertNotIn('SYS_NICE', privileges._HARMLESS)
        self.assertEqual(41, len(privileges.CAPABILITIES))

    def test_sysctls(self):
        docker = {'sysctl_net.core.somaxconn': '1', 'sysctl_net.a.b': '2'}
        reason, = privileges.of_host(docker, privileges.Allowed(
            True, ('net.core.*',), (), ()))
        self.assertIn('net.a.b', reason)
        self.assertEqual(2, len(list(privileges.of_host(docker, NOTHING))))

    def test_devices(self):
        docker = {'devices': (privileges.Device('/dev/a1', '/dev/x', 'r'),
                              privileges.Device('/dev/b', '/dev/a1', 'r'))}
        reason, = privileges.of_host(docker, privileges.Allowed(
            False, (), ('/dev/a*',), ()))
        self.assertIn('/dev/b', reason)

    def test_apparmor_profiles(self):
        """A host has some that are in no force, for programs of its own."""
        docker = {'apparmor_profile': 'mine'}
        reason, = privileges.of_host(docker, privileges.Allowed(
            True, (), (), ('others',)))
        self.assertIn('allowed_apparmor_profiles', reason)
        self.assertEqual([], list(privileges.of_host(
            docker, privileges.Allowed(False, (), (), ('m*',)))))


class OfEngineTest(base.BaseTestCase):

    def test_what_it_would_go_without(self):
        for docker, word in (
                ({'runtime': 'runsc'}, 'runtime runsc'),
                ({'userns': 'remap'}, 'remap'),
                ({'init': True}, 'docker-init'),
                ({'apparmor_profile': 'mine'}, 'AppArmor'),
                ({'security_opt': ('label=type:a',)}, 'SELinux')):
            reason, = privileges.of_engine(docker, ENGINE)
            self.assertIn(word, reason)
            self.assertEqual([], list(privileges.of_engine(docker, WHOLE)))
            self.assertTrue(privileges.asks_engine(docker))

    def test_no_seccomp(self):
        engine = privileges.Engine(frozenset(), frozenset(), False)
        docker = {'seccomp_profile': 'builtin'}
        self.assertEqual(1, len(list(privileges.of_engine(docker, engine))))
        self.assertEqual([], list(privileges.of_engine(docker, ENGINE)))
        self.assertTrue(privileges.asks_engine(docker))

    def test_privileged(self):
        docker = {'privileged': True}
        self.assertEqual([], list(privileges.of_engine(docker, ENGINE)))
        self.assertEqual(1, len(list(privileges.of_engine(docker, WHOLE))))
        self.assertTrue(privileges.asks_engine(docker))

    def test_nothing_to_ask(self):
        self.assertFalse(privileges.asks_engine({'pids_limit': 1}))
        self.assertEqual([], list(privileges.of_engine(
            {'apparmor_profile': 'unconfined', 'init': False,
             'security_opt': ('no-new-privileges',)}, ENGINE)))


class DeviceTest(base.BaseTestCase):

    def test_paths(self):
        for path in ('/dev/fuse', '/dev/net/tun'):
            self.assertTrue(privileges.is_device(path))
        for path in ('/dev', '/etc/x', '/dev/../etc/x', 'dev/x', '/dev/'):
            self.assertFalse(privileges.is_device(path))
