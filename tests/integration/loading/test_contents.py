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

"""What is in the source archive and in the wheel, and nothing else."""

import tarfile
import zipfile

from oslotest import base

from tests.fixtures import wheels

#: What pbr and setuptools write into a source archive.
MADE = ('AUTHORS', 'ChangeLog', 'PKG-INFO', 'nova_docker.egg-info')


class ContentsTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.archives = self.useFixture(wheels.Archives())

    def test_contents(self):
        with tarfile.open(self.archives.source) as opened:
            found = {member.name.partition('/')[2]
                     for member in opened if not member.isdir()}
        # git's own file is of no use without git.
        self.assertEqual(
            self.archives.committed - {'.gitignore'},
            {name for name in found if not name.startswith(MADE)})
        with zipfile.ZipFile(self.archives.wheel) as opened:
            names = opened.namelist()
        self.assertEqual(wheels.DATA, {
            name.partition('.data/data/')[2] for name in names
            if '.data/' in name})
        self.assertEqual(
            {name for name in self.archives.committed
             if name.startswith('nova_docker/')},
            {name for name in names
             if not name.partition('/')[0].endswith(('.data', '.dist-info'))})
