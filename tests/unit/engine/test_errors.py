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

from nova_docker.engine import errors


class OfStatusTest(base.BaseTestCase):

    def test_kinds(self):
        for status, kind in (
                (400, errors.BadRequest), (401, errors.ApiError),
                (403, errors.ApiError), (404, errors.NotFound),
                (406, errors.ApiError), (409, errors.Conflict),
                (500, errors.ServerError), (503, errors.ServerError)):
            error = errors.of_status(status, 'why')
            self.assertIs(kind, type(error))
            self.assertEqual((status, 'why'), (error.status, str(error)))


class TooOldTest(base.BaseTestCase):

    def test_says_what_there_is(self):
        error = errors.TooOld('20.10.24', '1.41', '1.44')
        self.assertIsInstance(error, errors.EngineError)
        self.assertEqual(('20.10.24', '1.41'), (error.version, error.api))
        self.assertEqual(
            'Docker Engine 20.10.24 is too old: it speaks API 1.41 and 1.44 '
            'is needed', str(error))
