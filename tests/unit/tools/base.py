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

"""What tests of the evaluation cloud have in common."""

import pathlib

import fixtures
from oslotest import base

from evalcloud import criu
from evalcloud import lxcfs


class CacheTestCase(base.BaseTestCase):
    """A test with an empty cache that nothing is downloaded into.

    :ivar folder: the cache
    :ivar has_criu: the mock that says whether there is CRIU
    :ivar has_lxcfs: the mock that says whether lxcfs can be
    """

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(fixtures.EnvironmentVariable(
            'NOVA_DOCKER_CACHE', str(self.folder)))
        self.has_criu = self.useFixture(fixtures.MockPatchObject(
            criu, 'works', autospec=True, return_value=False)).mock
        self.has_lxcfs = self.useFixture(fixtures.MockPatchObject(
            lxcfs, 'works', autospec=True, return_value=True)).mock
