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

import threading
from unittest import mock

from nova import context as nova_context
from nova import exception
from nova import objects
from nova import test
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.image import source
from tests.fixtures import engine


class ImageAPI:
    """Downloads what it was made with; an exception in it is raised."""

    def __init__(self, *parts):
        self._parts = parts
        self.asked = None

    def download(self, context, image_id, *, data, trusted_certs):
        self.asked = image_id, trusted_certs
        for part in self._parts:
            if isinstance(part, Exception):
                raise part
            data.write(part)


class DownloadedTestCase(test.NoDBTestCase):

    def read(self, *parts):
        """All that a download of the parts gives."""
        self.api = ImageAPI(*parts)
        request = source.Request(
            engine.FakeEngine(), self.api,
            nova_context.RequestContext('user', 'project'),
            objects.ImageMeta(id=uuids.image), {},
            trusted_certs=mock.sentinel.certs)
        with source.downloaded(request) as data:
            return b''.join(iter(lambda: data.read(2), b''))

    def assert_no_thread(self):
        self.assertEqual([], [thread for thread in threading.enumerate()
                              if thread.name.startswith('download-')])

    def test_data(self):
        self.assertEqual(b'abcde', self.read(b'abc', b'de'))
        self.assertEqual((uuids.image, mock.sentinel.certs), self.api.asked)
        self.assert_no_thread()

    def test_failure(self):
        for error, raised in (
                (OSError('broken'), exception.CouldNotFetchImage),
                (exception.ImageNotFound(image_id='x'),
                 exception.ImageNotFound)):
            self.assertRaises(raised, self.read, b'abc', error)
            self.assert_no_thread()

    def test_reader_that_gives_up(self):
        api = ImageAPI(*[bytes(1 << 20)] * 100)
        request = source.Request(
            engine.FakeEngine(), api,
            nova_context.RequestContext('user', 'project'),
            objects.ImageMeta(id=uuids.image), {})
        with self.assertRaisesRegex(KeyError, 'enough'):
            with source.downloaded(request) as data:
                data.read(1)
                raise KeyError('enough')
        self.assert_no_thread()


class SendTestCase(test.NoDBTestCase):

    def pieces(self, error=None):
        yield b'a'
        if error:
            raise error
        yield b'b'

    def to(self, error=None):
        """A method of an engine, which ends with the error."""
        def method(pieces):
            self.got = b''.join(pieces)
            if error:
                raise error
        return method

    def test_all(self):
        source.send(self.to(), self.pieces())
        self.assertEqual(b'ab', self.got)

    def test_error_of_the_pieces_ends_the_request_in_order(self):
        for refusal in (errors.BadRequest('truncated', 400), None):
            self.assertRaises(KeyError, source.send, self.to(refusal),
                              self.pieces(KeyError()))
            self.assertEqual(b'a', self.got)

    def test_error_of_the_engine(self):
        self.assertRaises(errors.BadRequest, source.send,
                          self.to(errors.BadRequest('bad', 400)),
                          self.pieces())
