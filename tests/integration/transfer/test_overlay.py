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

"""Layers that say where content is: what the kernel makes of them elsewhere.

What the driver knows of the kernel's parameters is held to the kernel.
"""

import os
import subprocess

import fixtures
from oslotest import base

from nova_docker.host import overlay
from nova_docker.privsep import layer
from tests.fixtures import privsep


class OverlayTest(base.BaseTestCase):
    """A layer of an image with a file in a directory, and one on top."""

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.lower, self.upper = self.directory(), self.directory()
        os.mkdir(os.path.join(self.lower, 'old'))
        with open(os.path.join(self.lower, 'old', 'file'), 'w') as file:
            file.write('content')

    def directory(self):
        return self.useFixture(fixtures.TempDir()).path

    def mount(self, upper, *options):
        """As the engine does it, but for the options."""
        path = self.directory()
        subprocess.run(
            ['mount', '-t', 'overlay', '-o', ','.join([
                f'lowerdir={self.lower}', f'upperdir={upper}',
                f'workdir={self.directory()}', 'index=off', *options]),
             'overlay', path], check=True)
        self.addCleanup(subprocess.run, ['umount', path], check=True)
        return path

    def special(self, upper):
        return overlay.special(set(layer.noted(upper)))

    def assert_known(self, attribute, path, option):
        """Elsewhere the content is there, if the driver says so."""
        self.assertEqual([attribute], self.special(self.upper))
        for options, there in (([], overlay.follows(attribute)),
                               ([option], True)):
            target = self.directory()
            layer.copy(self.upper, target, os.getpid())
            self.assertEqual([attribute], self.special(target))
            self.assertEqual(there, self.content(os.path.join(
                self.mount(target, *options), path)) == 'content')

    @staticmethod
    def content(path):
        try:
            with open(path) as file:
                return file.read()
        except OSError:
            return ''

    def test_redirect(self):
        option = 'redirect_dir=on'
        path = self.mount(self.upper, option)
        os.rename(os.path.join(path, 'old'), os.path.join(path, 'new'))
        self.assert_known('redirect', 'new/file', option)

    def test_metacopy(self):
        option = 'metacopy=on'
        path = self.mount(self.upper, option)
        os.chmod(os.path.join(path, 'old', 'file'), 0o600)
        self.assert_known('metacopy', 'old/file', option)

    def test_neither(self):
        path = self.mount(self.upper, 'redirect_dir=off', 'metacopy=off')
        os.chmod(os.path.join(path, 'old', 'file'), 0o600)
        os.mkdir(os.path.join(path, 'new'))
        os.rename(os.path.join(path, 'new'), os.path.join(path, 'newer'))
        self.assertEqual([], self.special(self.upper))
