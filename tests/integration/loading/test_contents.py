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

import pathlib
import subprocess
import tarfile
import zipfile

import fixtures
from oslotest import base
import uv

ROOT = pathlib.Path(__file__).parents[3]

#: What pbr and setuptools write into a source archive.
MADE = ('AUTHORS', 'ChangeLog', 'PKG-INFO', 'nova_docker.egg-info')
#: What an installation has below its prefix.
DATA = {
    'etc/nova-docker/nova-docker-config-generator.conf',
    'etc/nova-docker/registries.ini.sample',
    'etc/nova/rootwrap.d/nova-docker.filters',
    'etc/sysctl.d/90-nova-docker.conf',
    'etc/systemd/system/nova-compute.service.d/nova-docker.conf',
}


class ContentsTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        # A clone has what is committed; building writes beside the code.
        self.source = self.folder / 'source'
        self.run_command('git', 'clone', '-q', str(ROOT), str(self.source))
        self.committed = set(self.run_command(
            'git', '-C', str(self.source), 'ls-files').splitlines())

    def run_command(self, *command):
        done = subprocess.run(command, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(0, done.returncode, f'{command}\n{done.stderr}')
        return done.stdout

    def test_contents(self):
        dist = self.folder / 'dist'
        # The wheel is made of the source archive.
        self.run_command(uv.find_uv_bin(), 'build', '-q', '-o', str(dist),
                         str(self.source))
        [archive], [wheel] = dist.glob('*.tar.gz'), dist.glob('*.whl')
        with tarfile.open(archive) as opened:
            self.assert_source(member.name.partition('/')[2]
                               for member in opened if not member.isdir())
        with zipfile.ZipFile(wheel) as opened:
            self.assert_wheel(opened.namelist())

    def assert_source(self, names):
        found = {name for name in names if not name.startswith(MADE)}
        # git's own file is of no use without git.
        self.assertEqual(self.committed - {'.gitignore'}, found)

    def assert_wheel(self, names):
        data = {name.partition('.data/data/')[2] for name in names
                if '.data/' in name}
        self.assertEqual(DATA, data)
        self.assertEqual(
            {name for name in self.committed
             if name.startswith('nova_docker/')},
            {name for name in names
             if not name.partition('/')[0].endswith(('.data', '.dist-info'))})
