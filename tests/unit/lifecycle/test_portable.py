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

import fixtures

from nova_docker.engine import errors
from nova_docker.host import numa
from nova_docker.host import overlay
from nova_docker.lifecycle import portable
from tests.unit.lifecycle import base


class RefusalsTest(base.LifecycleTestCase):
    """What another host asks for: see test_cold for who asks."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            overlay, 'follows', side_effect={'redirect'}.__contains__))

    def refusals(self, userns='', overlay=(), system=False, init=False):
        return list(portable.refusals(self.services, {
            'userns': userns, 'overlay': overlay, 'system': system,
            'init': init}))

    def test_none(self):
        self.assertEqual([], self.refusals(overlay=['redirect']))

    def test_overlay(self):
        reason, = self.refusals(overlay=['metacopy', 'redirect'])
        self.assertIn('trusted.overlay.metacopy', reason)

    def test_user_ids(self):
        reason, = self.refusals('100000.100000')
        self.assertIn('to 100000.100000 and to none', reason)
        self.engine.details |= {
            'SecurityOptions': ['name=seccomp,profile=builtin',
                                'name=userns'],
            'DockerRootDir': '/var/lib/docker/100000.100000'}
        self.assertEqual([], self.refusals('100000.100000'))
        for userns in '', '200000.200000':
            self.assertEqual(1, len(self.refusals(userns)))

    def test_storage_driver(self):
        for name, refused in (('btrfs', True), ('overlayfs', False)):
            self.engine.details['Driver'] = name
            self.assertEqual(refused, bool(self.refusals()))

    def test_system_container(self):
        self.assertEqual([], self.refusals(system=True))
        self.flags(group='docker', system_containers=False)
        self.driver = self.compute.driver()
        self.assertEqual([], self.refusals())
        reason, = self.refusals(system=True)
        self.assertIn('system containers', reason)

    def test_flavor(self):
        reason, = portable.refusals(self.services, {
            'userns': '', 'overlay': [], 'system': False, 'init': False,
            'extra_specs': {'docker:nesting': 'true'}})
        self.assertIn('allow_privileged', reason)

    def test_huge_pages(self):
        needs = {'userns': '', 'overlay': [], 'system': False, 'init': False,
                 'huge_pages': True}
        self.compute._patch(numa, 'limits_pages', return_value=False)
        reason, = portable.refusals(self.services, needs)
        self.assertIn('huge pages', reason)
        self.assertEqual([], list(portable.refusals(
            self.services, needs | {'huge_pages': False})))

    def test_init(self):
        self.assertEqual([], self.refusals(init=True))
        self.engine.details['InitCommit'] = {'ID': 'N/A'}
        self.assertEqual([], self.refusals())
        reason, = self.refusals(init=True)
        self.assertIn('docker-init', reason)

    def test_engine_that_does_not_answer(self):
        self.engine.fail_next('info', errors.Unavailable('gone'))
        reason, = self.refusals()
        self.assertIn('gone', reason)
