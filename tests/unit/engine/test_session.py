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

import base64
import json
import tarfile
import threading
import time
import tracemalloc
from urllib import parse

from oslotest import base
from testtools import matchers

from nova_docker.engine import errors
from nova_docker.engine import session
from tests import engine_cases
from tests.fixtures import http_engine


class SessionTest(base.BaseTestCase):
    """What a real engine cannot be made to do at will."""

    def setUp(self):
        super().setUp()
        self.server = self.useFixture(http_engine.HttpEngine())
        self.server.answers['GET /info'] = 200, {'ID': 'x'}
        self.go = threading.Event()
        self.addCleanup(self.go.set)
        self.engine = self.make(timeout=5)

    def make(self, **options):
        engine = session.Session(session.Address(self.server.url, **options))
        self.addCleanup(engine.close)
        return engine

    def asked(self):
        """Method, path, parameters and body of the last request."""
        method, path, body = self.server.requests[-1]
        path, _, query = path.partition('?')
        return method, path, dict(parse.parse_qsl(query)), (
            json.loads(body) if body else None)

    def wait(self, handler):
        """An answer that comes when the test lets it."""
        self.go.wait(engine_cases.PATIENCE)
        handler.reply(204)

    def assertTakes(self, seconds, method, *arguments):
        began = time.monotonic()
        self.assertRaises(errors.Timeout, method, *arguments)
        taken = time.monotonic() - began
        self.assertThat(taken, matchers.GreaterThan(seconds - 0.05))
        # Not as long as the answer takes.
        self.assertThat(taken, matchers.LessThan(engine_cases.PATIENCE / 2))


class ConnectTest(SessionTest):

    def test_not_before_it_is_needed(self):
        self.assertEqual([], self.server.requests)
        session.Session(session.Address('unix:///none')).close()

    def test_once(self):
        for _ in range(3):
            self.engine.info()
        self.assertEqual(['/version'] + ['/v1.51/info'] * 3, [
            path for _, path, _ in self.server.requests])

    def test_too_old_until_it_is_not(self):
        self.server.be('24.0.9', '1.43')
        error = self.assertRaises(errors.TooOld, self.engine.info)
        self.assertEqual('24.0.9', error.version)
        self.server.be('25.0.0', '1.44')
        self.engine.info()
        self.assertEqual('/v1.44/info', self.server.requests[-1][1])

    def test_events_ask_for_the_version_again(self):
        self.engine.info()
        # The engine was replaced by an older one.
        self.server.be('26.1.5', '1.45')
        self.server.answers['GET /events'] = self.begin
        self.engine.events({}).close()
        self.engine.info()
        self.assertEqual('/v1.45/info', self.server.requests[-1][1])

    def begin(self, handler):
        handler.begin()
        handler.wfile.flush()
        self.go.wait(engine_cases.PATIENCE)
        handler.hang_up()

    def test_close(self):
        self.server.answers['GET /events'] = self.begin
        reader = engine_cases.Reader(self.engine.events({}))
        self.engine.close()
        self.engine.close()
        reader.join()
        self.assertIsNone(reader.error)
        self.assertEqual('x', self.engine.info()['ID'])

    def test_slow_engine_does_not_queue_requests(self):
        # Eight requests that wait for the version wait side by side.
        silent = self.useFixture(http_engine.HttpEngine())
        silent.answers['GET /version'] = self.wait
        engine = session.Session(session.Address(silent.url, timeout=1))
        self.addCleanup(engine.close)
        taken = []

        def ask():
            self.assertRaises(errors.Timeout, engine.info)
            taken.append(time.monotonic() - began)
        began = time.monotonic()
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(8, len(taken))
        self.assertThat(max(taken), matchers.LessThan(7))


class RequestTest(SessionTest):

    def test_list_containers(self):
        self.server.answers['GET /containers/json'] = 200, []
        self.engine.list_containers(['a=b', 'c'])
        _, _, parameters, _ = self.asked()
        self.assertEqual('1', parameters['all'])
        self.assertEqual({'label': ['a=b', 'c']},
                         json.loads(parameters['filters']))
        self.engine.list_containers([], ['a.b', 'c-d'])
        self.assertEqual(
            {'label': [], 'name': [r'^/?a\.b$', r'^/?c\-d$']},
            json.loads(self.asked()[2]['filters']))

    def test_create_sends_the_body_as_it_is(self):
        self.server.answers['POST /containers/create'] = 201, {'Id': 'x'}
        body = {'Image': 'i', 'Env': None, 'HostConfig': {
            'DeviceRequests': [{'Driver': 'cdi'}], 'NewKey': {'a': None}}}
        self.assertEqual('x', self.engine.create_container('n', body))
        self.assertEqual(('POST', '/v1.51/containers/create', {'name': 'n'},
                          body), self.asked())

    def test_update_sends_the_body_as_it_is(self):
        self.server.answers['POST /containers/n/update'] = 200, {}
        self.engine.update_container('n', {'PidsLimit': 5, 'CpuQuota': 0})
        self.assertEqual({'PidsLimit': 5, 'CpuQuota': 0}, self.asked()[3])

    def test_remove(self):
        self.server.answers['DELETE /containers/n'] = 204, b''
        self.engine.remove_container('n')
        self.assertEqual({'v': '1', 'force': '1'},
                         self.asked()[2])

    def test_remove_image_is_never_forced(self):
        self.server.answers['DELETE /images/a.invalid/b:c'] = 200, []
        self.engine.remove_image('a.invalid/b:c')
        self.assertEqual({'force': 'False', 'noprune': 'False'},
                         self.asked()[2])

    def test_commit(self):
        self.server.answers['POST /commit'] = 201, {'Id': 'sha256:x'}
        self.assertEqual('sha256:x', self.engine.commit_container(
            'a', 'nova.invalid/b/c:d'))
        self.assertEqual(('POST', '/v1.51/commit', {
            'container': 'a', 'repo': 'nova.invalid/b/c', 'tag': 'd',
            'pause': '1'}, None), self.asked())

    def test_events_since(self):
        self.server.answers['GET /events'] = lambda handler: handler.begin()
        self.engine.events({'type': ['container']}, 1700000000.25).close()
        self.assertEqual({'filters': '{"type": ["container"]}',
                          'since': '1700000000.250000000'}, self.asked()[2])

    def test_unpause(self):
        # 500 for a container that is not paused: told by its state.
        self.server.answers['POST /containers/n/unpause'] = 500, {
            'message': 'Container n is not paused'}
        for paused, kind in ((False, errors.Conflict),
                             (True, errors.ServerError)):
            self.server.answers['GET /containers/n/json'] = 200, {
                'State': {'Paused': paused}}
            self.assertRaises(kind, self.engine.unpause_container, 'n')

    def test_answers_that_are_no_json(self):
        for answer in ((200, b'<html>'), (200, b'')):
            self.server.answers['GET /info'] = answer
            self.server.answers['POST /containers/create'] = answer
            self.assertRaises(errors.Unavailable, self.engine.info)
            self.assertRaises(errors.Unavailable,
                              self.engine.create_container, 'n', {})
        self.server.answers['POST /images/load'] = 200, b'<html>'
        self.assertRaises(errors.Unavailable, self.engine.load_image, [b'x'])


class GetFileTest(SessionTest):
    """Answers with a file that no engine gives."""

    def answer(self, body):
        stat = base64.b64encode(json.dumps({'linkTarget': ''}).encode())

        def answer(handler):
            handler.send_response(200)
            handler.send_header('X-Docker-Container-Path-Stat',
                                stat.decode())
            handler.send_header('Content-Length', str(len(body) or 10))
            handler.end_headers()
            for at in range(0, len(body), 1 << 20):
                handler.wfile.write(body[at:at + (1 << 20)])
            handler.hang_up()
        self.server.answers['GET /containers/x/archive'] = answer

    def test_no_archive(self):
        for body in (b'no archive', b'', b'x' * 1024):
            self.answer(body)
            self.assertRaises(errors.Unavailable, self.engine.get_file, 'x',
                              '/a', 10)

    def test_much_is_not_read(self):
        info = tarfile.TarInfo('a')
        info.size = 64 << 20
        self.answer(info.tobuf() + bytes(info.size))
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.assertIsNone(self.engine.get_file('x', '/a', 10))
        self.assertThat(tracemalloc.get_traced_memory()[1],
                        matchers.LessThan(4 << 20))


class TimeoutTest(SessionTest):

    def test_start_has_its_own(self):
        engine = self.make(timeout=1)
        engine.info()
        self.server.answers['POST /containers/n/start'] = self.wait
        self.assertTakes(0.3, engine.start_container, 'n', 0.3)
        self.assertTakes(1.2, engine.start_container, 'n', 1.2)

    def test_stop_adds_its_own(self):
        engine = self.make(timeout=0.5)
        self.server.answers['POST /containers/n/stop'] = self.wait
        self.assertTakes(0.5, engine.stop_container, 'n', 0)
        self.assertTakes(1.5, engine.stop_container, 'n', 1)
        self.assertEqual({'t': '1'}, self.asked()[2])

    def test_stop_waits_for_the_end(self):
        """The engine answers a stop before, and an inspection after it."""
        self.server.answers['POST /containers/n/stop'] = 204, b''
        self.server.answers['GET /containers/n/json'] = 200, {'Id': 'n'}
        self.assertIs(True, self.engine.stop_container('n', 0))
        self.assertEqual(('GET', '/v1.51/containers/n/json'),
                         self.asked()[:2])

    def test_all_others_are_bounded(self):
        engine = self.make(timeout=0.1)
        engine.info()
        for request, method, *arguments in (
                ('GET /info', engine.info),
                ('GET /containers/json', engine.list_containers, []),
                ('POST /containers/create', engine.create_container, 'n',
                 {}),
                ('GET /containers/n/json', engine.inspect_container, 'n'),
                ('POST /containers/n/kill', engine.kill_container, 'n'),
                ('POST /containers/n/pause', engine.pause_container, 'n'),
                ('POST /containers/n/unpause', engine.unpause_container,
                 'n'),
                ('POST /containers/n/update', engine.update_container, 'n',
                 {}),
                ('GET /containers/n/logs', engine.container_logs, 'n', 9),
                ('GET /containers/n/top', engine.container_top, 'n'),
                ('GET /images/json', engine.list_images, []),
                ('GET /images/i/json', engine.inspect_image, 'i'),
                ('DELETE /images/i', engine.remove_image, 'i')):
            self.server.answers[request] = self.wait
            self.assertTakes(0.1, method, *arguments)

    def test_what_copies_files_is_not(self):
        engine = self.make(timeout=0.2)

        def late(handler):
            time.sleep(0.5)
            handler.reply(200)
        self.server.answers['DELETE /containers/n'] = late
        self.server.answers['POST /images/load'] = late
        self.server.answers['GET /images/i/get'] = late
        self.server.answers['POST /commit'] = lambda handler: (
            time.sleep(0.5), handler.reply(201, {'Id': 'x'}))
        engine.remove_container('n')
        engine.load_image([b'x'])
        engine.commit_container('n', 'i:t')
        with engine.save_image('i') as image:
            self.assertEqual([], list(image))

    def test_logs_that_stop_coming(self):
        def half(handler):
            handler.begin('application/vnd.docker.raw-stream')
            handler.chunk(b'x')
            self.go.wait(engine_cases.PATIENCE)
        self.server.answers['GET /containers/n/logs'] = half
        self.assertTakes(0.3, self.make(timeout=0.3).container_logs, 'n', 9)


class StreamTest(SessionTest):

    def test_logs_need_little_memory(self):
        size = 65536

        def huge(handler):
            handler.begin('application/vnd.docker.multiplexed-stream')
            for _ in range(1000):
                handler.chunk(bytes([1, 0, 0, 0]) + size.to_bytes(4, 'big') +
                              b'x' * size)
            handler.chunk(b'')
        self.server.answers['GET /containers/n/logs'] = huge
        self.engine.info()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.assertEqual(
            b'x' * 100000, self.engine.container_logs('n', 100000))
        self.assertThat(tracemalloc.get_traced_memory()[1],
                        matchers.LessThan(4 << 20))
        self.assertEqual({'stdout': '1', 'stderr': '1', 'tail': '100000'},
                         self.asked()[2])

    def test_load_needs_little_memory(self):
        self.server.answers['POST /images/load'] = 200, b''
        self.engine.info()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.engine.load_image(b'x' * 65536 for _ in range(1000))
        # The server keeps one MiB of it.
        self.assertThat(tracemalloc.get_traced_memory()[1],
                        matchers.LessThan(6 << 20))

    def test_load_with_errors_in_the_answer(self):
        def fail(handler):
            handler.begin()
            handler.chunk(b'{"status":"Loading layer"}\n' * 100)
            handler.chunk(b'{"errorDetail":{"message":"no space left"},'
                          b'"error":"no space left"}\n')
            handler.chunk(b'')
        self.server.answers['POST /images/load'] = fail
        error = self.assertRaises(errors.BadRequest, self.engine.load_image,
                                  [b'x'])
        self.assertEqual('no space left', str(error))

    def test_load_refused(self):
        self.server.answers['POST /images/load'] = 500, {'message': 'no'}
        self.assertRaises(errors.ServerError, self.engine.load_image, [b'x'])

    def test_load_broken_off(self):
        self.server.answers['POST /images/load'] = (
            lambda handler: handler.hang_up())
        self.assertRaises(errors.Unavailable, self.engine.load_image, [b'x'])

    def test_load_broken_off_in_the_answer(self):
        def half(handler):
            handler.begin()
            handler.chunk(b'{"stream":"Loaded')
            handler.hang_up()
        self.server.answers['POST /images/load'] = half
        self.assertRaises(errors.Unavailable, self.engine.load_image, [b'x'])

    def test_load_does_not_read_after_its_failure(self):
        # It raises at once, without waiting for an answer.
        def failing():
            yield b'x'
            raise ConnectionResetError('of Glance')
        self.server.answers['POST /images/load'] = self.wait
        self.assertRaises(ConnectionResetError, self.engine.load_image,
                          failing())

    def test_save_has_a_connection_of_its_own(self):
        self.server.answers['GET /images/i/get'] = 200, b'x'
        self.engine.info()
        before = self.server.connections
        with self.engine.save_image('i') as image:
            self.assertEqual(b'x', b''.join(image))
            self.engine.info()
        self.engine.info()
        self.assertEqual(before + 1, self.server.connections)

    def test_save_refused(self):
        self.server.answers['GET /images/i/get'] = 404, {'message': 'no'}
        self.assertRaises(errors.NotFound, self.engine.save_image, 'i')

    def test_events_refused(self):
        self.server.answers['GET /events'] = 400, {'message': 'bad filter'}
        self.assertRaises(errors.BadRequest, self.engine.events, {})

    def test_streams_give_their_connection_back(self):
        self.server.answers['GET /containers/n/logs'] = 200, b''
        self.server.answers['POST /images/load'] = 200, b''
        self.engine.info()
        before = self.server.connections
        for _ in range(5):
            self.engine.container_logs('n', 10)
            self.engine.load_image([b'x'])
        # One of each client.
        self.assertThat(self.server.connections - before,
                        matchers.LessThan(3))
