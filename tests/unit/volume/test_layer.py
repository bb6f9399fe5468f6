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


import errno
import os

import fixtures
from nova import exception
from oslo_concurrency import processutils
from oslotest import base

from nova_docker.privsep import layer as privileged
from nova_docker.volume import layer


class LayerTest(base.BaseTestCase):

    def test_copy(self):
        copy = self.useFixture(fixtures.MockPatchObject(
            privileged, 'copy', autospec=True)).mock
        layer.copy('/a', '/b')
        copy.assert_called_once_with('/a', '/b', os.getpid())
        for error, words in (
                (OSError(errno.EIO, 'cannot be read'), 'cannot be read'),
                (processutils.ProcessExecutionError(
                    stderr='x' * 200 + 'No space left on device'),
                 'No space left on device')):
            copy.side_effect = error
            raised = self.assertRaises(exception.InternalError,
                                       layer.copy, '/a', '/b')
            self.assertIn(words, raised.format_message())
            self.assertLess(len(raised.format_message()), 255)

    def test_unpack_and_used(self):
        for name, arguments, more in (
                ('unpack', ('/file', '/b'), (os.getpid(),)),
                ('used', ('/a',), ()), ('noted', ('/a',), ())):
            function = self.useFixture(fixtures.MockPatchObject(
                privileged, name, autospec=True,
                return_value={'noted': ['opaque']}.get(name, 5))).mock
            getattr(layer, name)(*arguments)
            function.assert_called_once_with(*arguments, *more)
            function.side_effect = OSError(errno.EIO, 'cannot be read')
            self.assertRaises(exception.InternalError,
                              getattr(layer, name), *arguments)
        self.assertEqual('The files of the server can not be copied: '
                         '[Errno 5] cannot be read', str(
                             self.assertRaises(exception.InternalError,
                                               layer.used, '/a')))
