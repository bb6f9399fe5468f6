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

import queue
import socket

from oslotest import base

from nova_docker.console import loop
from tests.fixtures import consoles


class FakeWatched:

    def __init__(self, watching, more=0, error=None):
        self.own, self.far = socket.socketpair()
        self.calls = queue.Queue()
        self.loop = watching
        self.more = more
        self.error = error

    def fileno(self):
        return self.own.fileno()

    def ready(self, readable, writable):
        if readable and not self.more:
            self.own.recv(100)
        self.calls.put((readable, writable))
        if self.error:
            raise self.error
        self.more -= 1
        return self.more >= 0

    def failed(self):
        self.loop.forget(self)
        self.calls.put('failed')

    def call(self):
        return self.calls.get(timeout=consoles.PATIENCE)


class LoopTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.loop = loop.Loop()
        self.loop.start()
        self.addCleanup(self.loop.stop)

    def on_loop(self, function, *args):
        """Call a function there, and wait for it."""
        done = queue.Queue()
        self.loop.call(lambda: done.put(function(*args)))
        return done.get(timeout=consoles.PATIENCE)

    def watched(self, write=False, **options):
        made = FakeWatched(self.loop, **options)
        self.addCleanup(made.own.close)
        self.addCleanup(made.far.close)
        self.on_loop(self.loop.watch, made, write)
        return made

    def test_read(self):
        watched = self.watched()
        watched.far.send(b'x')
        self.assertEqual((True, False), watched.call())

    def test_write(self):
        watched = self.watched(write=True)
        self.assertEqual((False, True), watched.call())
        self.on_loop(self.loop.watch, watched, False)
        self.on_loop(lambda: None)
        while not watched.calls.empty():
            watched.call()
        watched.far.send(b'x')
        self.assertEqual((True, False), watched.call())

    def test_more_that_nobody_sees(self):
        watched = self.watched(more=3)
        watched.far.send(b'x')
        for _ in range(4):
            self.assertEqual((True, False), watched.call())
        self.on_loop(lambda: None)
        self.assertTrue(watched.calls.empty())

    def test_failure(self):
        bad, good = self.watched(error=ValueError('bad')), self.watched()
        bad.far.send(b'x')
        self.assertEqual((True, False), bad.call())
        self.assertEqual('failed', bad.call())
        good.far.send(b'x')
        self.assertEqual((True, False), good.call())
        self.on_loop(self.loop.forget, bad)

    def test_forgotten_by_another(self):
        one, two = self.watched(), self.watched()
        for each, other in ((one, two), (two, one)):
            each.ready = lambda *_, each=each, other=other: (
                self.loop.forget(other), each.calls.put('ready'),
                each.own.recv(9))[0]

        def both():
            one.far.send(b'x')
            two.far.send(b'x')
        self.on_loop(both)
        self.on_loop(lambda: None)
        self.on_loop(lambda: None)
        self.assertEqual(1, one.calls.qsize() + two.calls.qsize())

    def test_failing_calls(self):
        self.loop.call(lambda: 1 // 0)
        self.assertEqual(3, self.on_loop(lambda: 3))

    def test_times_in_their_order(self):
        calls = queue.Queue()

        def later():
            self.loop.later(0.02, lambda: calls.put(2))
            self.loop.later(0.01, lambda: calls.put(1))
        self.on_loop(later)
        self.assertEqual([1, 2], [calls.get(timeout=consoles.PATIENCE)
                                  for _ in range(2)])

    def test_stop_after_calls(self):
        calls = []
        for number in range(3):
            self.loop.call(lambda number=number: calls.append(number))
        self.loop.stop()
        self.assertEqual([0, 1, 2], calls)
        self.loop.call(lambda: None)
        # For the cleanup.
        self.loop = loop.Loop()

    def test_stop_before_the_start(self):
        loop.Loop().stop()
