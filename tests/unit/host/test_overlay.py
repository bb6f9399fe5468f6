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

import os

import fixtures
from oslotest import base

from nova_docker.host import overlay


class OverlayTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.sys = self.useFixture(fixtures.TempDir()).path
        self.parameters = os.path.join(self.sys, 'module/overlay/parameters')
        os.makedirs(self.parameters)

    def set(self, name, value):
        with open(os.path.join(self.parameters, name), 'w') as file:
            file.write(f'{value}\n')

    def test_special(self):
        self.assertEqual(['metacopy', 'redirect'], overlay.special(
            {'redirect', 'opaque', 'origin', 'metacopy', 'impure', 'uuid'}))

    def test_follows(self):
        for values, redirect, metacopy in (
                ({}, False, False),
                ({'redirect_dir': 'N', 'redirect_always_follow': 'N',
                  'metacopy': 'N'}, False, False),
                ({'redirect_always_follow': 'Y'}, True, False),
                ({'redirect_always_follow': 'N', 'redirect_dir': 'Y'},
                 True, False),
                ({'metacopy': 'Y'}, True, True)):
            for name, value in values.items():
                self.set(name, value)
            self.assertEqual((redirect, metacopy, False), tuple(
                overlay.follows(attribute, self.sys)
                for attribute in ('redirect', 'metacopy', 'verity')))
