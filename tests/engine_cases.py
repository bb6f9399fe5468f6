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

"""What every engine does behind the seam: the fake one and the real one.

A test case takes the mixins below and says in :class:`Cases` how to get an
engine and how to make a process write, exit and run out of memory on it.
"""

import concurrent.futures
import functools
import io
import json
import os
import subprocess
import tarfile
import tempfile
import threading
import time
import typing
import uuid

import fixtures
import requests
from testtools import matchers

from nova_docker.engine import client
from nova_docker.engine import errors
from tests.fixtures import archives
from tests.fixtures import engine as fake_engine

#: What starts, ignores SIGTERM and does nothing.
IDLE = ('sh', '-c', 'while :; do sleep 1; done')

#: Seconds for what should take none.
PATIENCE = 60


def wait_until(condition: typing.Callable[[], typing.Any]) -> typing.Any:
    """Poll until a condition holds; the value that made it true."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError('waited in vain')
        time.sleep(0.02)


class Reader:
    """Reads an event stream in a thread."""

    def __init__(self, stream) -> None:
        self.events = []
        self.error = None
        self.stream = stream
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for event in self.stream:
                self.events.append(event)
        except Exception as error:
            self.error = error

    def wait_for(self, *actions):
        """The events, once the actions of all of them end like this."""
        def ended():
            return self.actions()[-len(actions):] == list(actions)
        try:
            wait_until(ended)
        except AssertionError:
            raise AssertionError(f'{self.actions()} for {actions}') from None
        return self.events

    def actions(self):
        return [event['Action'] for event in self.events]

    def join(self) -> None:
        """Wait for the end of the stream."""
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            raise AssertionError('the stream did not end')


class Cases:
    """What the cases need of their engine, and what they leave."""

    #: An uncompressed layer that has sh in it.
    layer = archives.layer(('bin/sh', b'#!'))

    def make_engine(self):
        """The engine of one test."""
        raise NotImplementedError

    def write(self, output: bytes, code: int = 0, tty: bool = False) -> str:
        """Name of a container whose process wrote this, not NUL, and ended."""
        raise NotImplementedError

    def run_out_of_memory(self) -> str:
        """Name of a container whose process the kernel killed."""
        raise NotImplementedError

    def become_unhealthy(self) -> str:
        """Name of a container whose health check fails."""
        raise NotImplementedError

    def setUp(self) -> None:
        super().setUp()
        self.mark = uuid.uuid4().hex[:12]
        self.reference = self.reference_of('a')
        self.engine = self.make_engine()
        self.addCleanup(self.engine.close)
        self.addCleanup(self._clean)
        self.engine.load_image([self.archive()])

    def _clean(self) -> None:
        for container in self.listed():
            self.engine.remove_container(container['Id'])
        for image in self.engine.list_images([self.reference_of('*')]):
            for tag in image['RepoTags']:
                self.engine.remove_image(tag)

    def reference_of(self, tag: str) -> str:
        return f'engine-cases.invalid/{self.mark}:{tag}'

    def archive(self, *tags: str, label: str = '') -> bytes:
        """An image of this test alone; another label, another image."""
        config = archives.config([self.layer], config={
            'Cmd': list(IDLE), 'Labels': {'mark': self.mark + label}})
        return archives.docker25([self.layer], config, [
            self.reference_of(tag) for tag in tags or ('a',)])

    def name(self, name: str = 'a') -> str:
        return f'case-{self.mark}-{name}'

    @property
    def label(self) -> str:
        """The label of all containers of this test."""
        return f'case={self.mark}'

    def create(self, name: str = 'a', labels: typing.Any = (), **body) -> str:
        """Create a container; its name."""
        host_config = {'NetworkMode': 'none', **body.pop('HostConfig', {})}
        self.engine.create_container(self.name(name), {
            'Image': self.reference, 'HostConfig': host_config,
            'Labels': {'case': self.mark, **dict(labels)}, **body})
        return self.name(name)

    def start(self, name: str = 'a', **body) -> str:
        """Create and start a container; its name."""
        name = self.create(name, **body)
        self.assertIs(True, self.engine.start_container(name, PATIENCE))
        return name

    def listed(self, *labels: str, names=()):
        return self.engine.list_containers([self.label, *labels], names)

    def names_of(self, containers):
        return sorted(container['Names'][0].removeprefix(f'/case-{self.mark}-')
                      for container in containers)

    def state(self, name: str):
        return self.engine.inspect_container(name)['State']

    def wait_for_exit(self, name: str):
        """State of the container after its process."""
        return wait_until(lambda: (
            state if (state := self.state(name))['Status'] == 'exited'
            else None))

    def read_events(self, since=None, **filters) -> Reader:
        """Read the events of this test's containers."""
        filters.setdefault('label', [self.label])
        stream = self.engine.events(filters, since)
        self.addCleanup(stream.close)
        return Reader(stream)

    @property
    def cdi_dir(self) -> str:
        return self.engine.info()['CDISpecDirs'][0]

    def write_cdi(self, *hook: str) -> dict[str, typing.Any]:
        """Define a CDI device with a hook; the HostConfig to ask for it."""
        kind = 'engine-cases.invalid/device'
        path = os.path.join(self.cdi_dir, f'engine-cases-{self.mark}.json')
        temporary = f'{path}.new'
        with open(temporary, 'w') as file:
            json.dump({
                'cdiVersion': '0.6.0', 'kind': kind, 'devices': [{
                    'name': self.mark, 'containerEdits': {'hooks': [{
                        'hookName': 'createRuntime', 'path': hook[0],
                        'args': list(hook)}]}}]}, file)
        os.rename(temporary, path)
        self.addCleanup(self._remove_file, path)
        return self.cdi_request(self.mark)

    @staticmethod
    def _remove_file(path: str) -> None:
        if os.path.exists(path):
            os.unlink(path)

    @staticmethod
    def cdi_request(name: str) -> dict[str, typing.Any]:
        return {'DeviceRequests': [{'Driver': 'cdi', 'DeviceIDs': [
            f'engine-cases.invalid/device={name}']}]}

    def gate(self):
        """A hook that waits; the HostConfig and the file that lets it go."""
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, 'go')
        request = self.write_cdi(
            '/bin/sh', '-c',
            f'n=0; while [ ! -e {path} -a $n -lt 600 ]; do sleep .05; '
            'n=$((n+1)); done')
        # Before the directory goes: nothing may wait for ever.
        self.addCleanup(self.open_gate, path)
        return request, path

    @staticmethod
    def open_gate(path: str) -> None:
        if os.path.isdir(os.path.dirname(path)):
            with open(path, 'w'):
                pass


def run_hooks(cdi_dir: str, container: typing.Any) -> None:
    """What runc does at a start, for a fake engine's ``on_start``."""
    wanted = {device.partition('=')[2]
              for request in container['HostConfig'].get('DeviceRequests', ())
              for device in request['DeviceIDs']}
    for entry in os.scandir(cdi_dir):
        with open(entry.path) as file:
            spec = json.load(file)
        for device in spec['devices']:
            if device['name'] in wanted:
                for hook in device['containerEdits']['hooks']:
                    subprocess.run(hook['args'], check=True)


class ContainerCases(Cases):
    """The life of a container."""

    def test_life(self) -> None:
        name = self.create()
        state = self.state(name)
        self.assertEqual(('created', 0, 0), (
            state['Status'], state['Pid'], state['ExitCode']))
        self.assertThat(state['StartedAt'], matchers.StartsWith('0001-01-01'))

        self.assertIs(True, self.engine.start_container(name, PATIENCE))
        state = self.state(name)
        self.assertEqual('running', state['Status'])
        self.assertThat(state['Pid'], matchers.GreaterThan(0))
        self.assertIs(False, self.engine.start_container(name, PATIENCE))

        self.engine.pause_container(name)
        state = self.state(name)
        self.assertEqual(('paused', True, True), (
            state['Status'], state['Running'], state['Paused']))
        self.engine.unpause_container(name)
        self.assertEqual('running', self.state(name)['Status'])

        self.assertIs(True, self.engine.stop_container(name, 1))
        state = self.state(name)
        self.assertEqual(('exited', 137, 0, False), (
            state['Status'], state['ExitCode'], state['Pid'],
            state['OOMKilled']))
        self.assertIs(False, self.engine.stop_container(name, 1))

        self.assertIs(True, self.engine.start_container(name, PATIENCE))
        self.engine.kill_container(name)
        self.assertEqual(137, self.wait_for_exit(name)['ExitCode'])
        self.engine.remove_container(name)
        self.assertEqual([], self.listed())

    def test_rename(self) -> None:
        name = self.start()
        reader = self.read_events(event=['rename'])
        self.engine.rename_container(name, self.name('b'))
        self.assertEqual(['b'], self.names_of(self.listed()))
        event, = reader.wait_for('rename')
        self.assertEqual(self.name('b'),
                         event['Actor']['Attributes']['name'])
        # It goes on running, and its name is free.
        self.assertEqual('running', self.state(self.name('b'))['Status'])
        self.create()
        self.assertEqual(['a', 'b'], self.names_of(self.listed()))
        self.assertRaises(errors.Conflict, self.engine.rename_container,
                          self.name('b'), name)

    def test_newest_first(self) -> None:
        for name in 'bca':
            self.create(name)
        self.assertEqual(
            ['a', 'c', 'b'],
            [container['Names'][0][-1] for container in self.listed()])

    def test_health(self) -> None:
        self.start('none')
        reader = self.read_events(event=['health_status', 'die'])
        name = self.become_unhealthy()
        event, = reader.wait_for('health_status: unhealthy')
        self.assertEqual(self.mark, event['Actor']['Attributes']['case'])
        self.assertEqual('unhealthy', self.state(name)['Health']['Status'])
        self.assertNotIn('Health', self.state(self.name('none')))
        for health, found in (('unhealthy', [name]), ('healthy', []),
                              ('none', [self.name('none')])):
            self.assertEqual(
                [f'/{each}' for each in found],
                [container['Names'][0] for container in
                 self.engine.list_containers([self.label], health=health)])

    def test_layers(self) -> None:
        """What tells where the files of a container are."""
        found = self.engine.inspect_container(self.create())
        self.assertEqual('overlay2', found['Driver'])
        self.assertEqual({'LowerDir', 'UpperDir', 'WorkDir', 'MergedDir'},
                         found['GraphDriver']['Data'].keys() - {'ID'})

    def test_remove_running_and_paused(self) -> None:
        self.start('running')
        self.engine.pause_container(self.start('paused'))
        self.engine.remove_container(self.name('running'))
        self.engine.remove_container(self.name('paused'))
        self.assertEqual([], self.listed())

    def test_absent(self) -> None:
        name = self.name('absent')
        for method, *arguments in (
                ('inspect_container',), ('start_container', PATIENCE),
                ('stop_container', 0), ('kill_container',),
                ('pause_container',), ('unpause_container',),
                ('update_container', {'Memory': 1 << 26}),
                ('commit_container', self.reference_of('c')),
                ('remove_container',), ('container_logs', 10),
                ('rename_container', self.name('b')),
                ('container_top',)):
            error = self.assertRaises(
                errors.NotFound, getattr(self.engine, method), name,
                *arguments)
            self.assertEqual(404, error.status)

    def test_conflicts_when_not_running(self) -> None:
        created = self.create('created')
        exited = self.start('exited')
        self.engine.kill_container(exited)
        self.wait_for_exit(exited)
        for name in (created, exited):
            for method in ('pause_container', 'unpause_container',
                           'kill_container', 'container_top'):
                error = self.assertRaises(
                    errors.Conflict, getattr(self.engine, method), name)
                self.assertEqual(409, error.status)
            self.assertIs(False, self.engine.stop_container(name, 0))

    def test_conflicts_when_running_or_paused(self) -> None:
        name = self.start()
        self.assertRaises(errors.Conflict, self.engine.unpause_container, name)
        self.engine.pause_container(name)
        self.assertRaises(errors.Conflict, self.engine.pause_container, name)
        self.assertRaises(errors.Conflict, self.engine.start_container, name,
                          PATIENCE)
        self.assertEqual('paused', self.state(name)['Status'])

    def test_stop_paused(self) -> None:
        name = self.start()
        self.engine.pause_container(name)
        self.assertIs(True, self.engine.stop_container(name, 1))
        state = self.state(name)
        self.assertEqual(('exited', False), (state['Status'],
                                             state['Paused']))

    def test_list_after_a_stop(self) -> None:
        name = self.create()
        # An engine that is late is not so each time.
        for _ in range(10):
            self.engine.start_container(name, PATIENCE)
            self.engine.stop_container(name, 0)
            self.assertEqual(['exited'], [
                each['State'] for each in self.listed()])

    def test_kill_with_another_signal(self) -> None:
        name = self.start()
        self.engine.kill_container(name, 'SIGUSR1')
        self.assertEqual('running', self.state(name)['Status'])
        self.assertRaises(errors.BadRequest, self.engine.kill_container, name,
                          'SIGNONE')

    def test_exit(self) -> None:
        name = self.write(b'', code=3)
        state = self.wait_for_exit(name)
        self.assertEqual((3, False, ''), (
            state['ExitCode'], state['OOMKilled'], state['Error']))
        # Of a short life, the engine may note the end before the start.
        for key in ('StartedAt', 'FinishedAt'):
            self.assertThat(state[key], matchers.StartsWith('2'))

    def test_out_of_memory(self) -> None:
        name = self.run_out_of_memory()
        state = self.wait_for_exit(name)
        self.assertEqual((137, True), (state['ExitCode'],
                                       state['OOMKilled']))

    def test_create(self) -> None:
        name = self.create(labels={'one': '1'}, Hostname='here', Tty=True,
                           Cmd=['sh'], HostConfig={'Memory': 1 << 26})
        found = self.engine.inspect_container(name)
        self.assertEqual(f'/{name}', found['Name'])
        self.assertEqual('here', found['Config']['Hostname'])
        self.assertEqual(['sh'], found['Config']['Cmd'])
        self.assertIs(True, found['Config']['Tty'])
        self.assertEqual(self.reference, found['Config']['Image'])
        # Labels of the image are labels of the container.
        self.assertEqual({'case': self.mark, 'one': '1', 'mark': self.mark},
                         found['Config']['Labels'])
        self.assertEqual(1 << 26, found['HostConfig']['Memory'])
        self.assertEqual(self.engine.inspect_image(self.reference)['Id'],
                         found['Image'])
        self.assertEqual(found['Id'],
                         self.engine.inspect_container(found['Id'])['Id'])

    def test_create_refused(self) -> None:
        self.create()
        self.assertRaises(errors.Conflict, self.create)
        self.assertRaises(errors.NotFound, self.create, 'b',
                          Image=self.reference_of('absent'))
        self.assertRaises(errors.BadRequest, self.create, 'not a name')
        self.assertEqual(['a'], self.names_of(self.listed()))

    def test_list(self) -> None:
        self.create('created', labels={'kind': 'x'})
        self.start('running', labels={'kind': 'x', 'other': ''})
        self.engine.pause_container(self.start('paused'))
        self.engine.stop_container(self.start('exited'), 0)
        # Not ours: it may be there as long as it likes.
        self.engine.create_container(self.name('foreign'), {
            'Image': self.reference, 'Labels': {'case': 'other'}})
        self.addCleanup(self.engine.remove_container, self.name('foreign'))
        found = self.listed()
        self.assertEqual(
            {'created': 'created', 'running': 'running', 'paused': 'paused',
             'exited': 'exited'},
            {self.names_of([container])[0]: container['State']
             for container in found})
        self.assertEqual(
            {self.mark}, {container['Labels']['case'] for container in found})
        self.assertEqual(['created', 'running'],
                         self.names_of(self.listed('kind=x')))
        self.assertEqual(['running'], self.names_of(
            self.listed('kind=x', 'other')))
        self.assertEqual([], self.listed('kind=y'))
        self.assertEqual([], self.listed('kin'))

    def test_list_by_exact_name(self) -> None:
        for name in ('a', 'a1', 'b-a', 'a.b', 'axb'):
            self.create(name)
        self.assertEqual(['a'], self.names_of(
            self.listed(names=[self.name('a')])))
        self.assertEqual(['a.b'], self.names_of(
            self.listed(names=[self.name('a.b')])))
        self.assertEqual(['a', 'b-a'], self.names_of(self.listed(
            names=[self.name('a'), self.name('b-a'), self.name('c')])))
        self.assertEqual([], self.listed(names=[self.name('')]))
        self.assertEqual(['a.b'], self.names_of(
            self.engine.list_containers([], [self.name('a.b')])))

    def test_update(self) -> None:
        name = self.start(HostConfig={'Memory': 1 << 26})
        self.engine.update_container(name, {
            'Memory': 1 << 27, 'MemorySwap': 1 << 27, 'CpuShares': 512,
            'CpuPeriod': 100000, 'CpuQuota': 50000, 'PidsLimit': 99,
            'Devices': []})
        found = self.engine.inspect_container(name)['HostConfig']
        self.assertEqual([1 << 27, 1 << 27, 512, 50000, 99], [found[key] for (
            key) in ('Memory', 'MemorySwap', 'CpuShares', 'CpuQuota',
                     'PidsLimit')])

    def test_top(self) -> None:
        name = self.start()
        found = self.engine.container_top(name)
        self.assertEqual(['PID', 'COMMAND'], found['Titles'])
        self.assertIn([str(self.state(name)['Pid']), 'sh'],
                      found['Processes'])

    def test_start_of_no_command(self) -> None:
        name = self.create(Cmd=[fake_engine.NO_COMMAND])
        self.assertRaises(errors.BadRequest, self.engine.start_container,
                          name, PATIENCE)
        state = self.state(name)
        self.assertEqual(('created', 127, 0), (
            state['Status'], state['ExitCode'], state['Pid']))
        self.assertIn(fake_engine.NO_COMMAND, state['Error'])
        self.assertEqual(b'', self.engine.container_logs(name, 100))

    def test_concurrent_use(self) -> None:
        def live(number: int) -> str:
            name = self.start(f't{number}')
            self.assertEqual('running', self.state(name)['Status'])
            self.assertIn(f't{number}', self.names_of(self.listed()))
            self.engine.container_logs(name, 10)
            self.engine.stop_container(name, 0)
            self.engine.remove_container(name)
            return name
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            done = list(pool.map(live, range(16)))
        self.assertEqual(16, len(set(done)))
        self.assertEqual([], self.listed())

    def test_concurrent_starts_of_one(self) -> None:
        name = self.create()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            started = list(pool.map(
                lambda _: self.engine.start_container(name, PATIENCE),
                range(8)))
        self.assertEqual([False] * 7 + [True], sorted(started))

    def test_concurrent_creates_of_one(self) -> None:
        def create(_: int) -> bool:
            try:
                self.create()
            except errors.Conflict:
                return False
            return True
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            created = list(pool.map(create, range(8)))
        self.assertEqual([False] * 7 + [True], sorted(created))


class LogCases(Cases):
    """The output of a container."""

    def test_output(self) -> None:
        name = self.write(b'first\nlast')
        self.assertEqual(b'first\nlast',
                         self.engine.container_logs(name, 1000))

    def test_output_of_a_tty(self) -> None:
        name = self.write(b'on a tty', tty=True)
        self.assertEqual(b'on a tty', self.engine.container_logs(name, 1000))

    def test_last_bytes(self) -> None:
        for tty in (False, True):
            name = self.write(b'x' * 30000 + b'the end', tty=tty)
            self.assertEqual(b'xthe end',
                             self.engine.container_logs(name, 8))
            self.assertEqual(b'', self.engine.container_logs(name, 0))
            self.assertEqual(30007, len(
                self.engine.container_logs(name, 1 << 20)))
            self.engine.remove_container(name)

    def test_last_bytes_of_many_lines(self) -> None:
        name = self.write(b'\n' * 5000 + b'the\nend\n')
        self.assertEqual(b'\n\nthe\nend\n',
                         self.engine.container_logs(name, 10))

    def test_never_started(self) -> None:
        self.assertEqual(b'', self.engine.container_logs(self.create(), 100))


class TerminalCases(Cases):
    """Terminals, of what says again what it is told."""

    def start_cat(self) -> str:
        return self.start('tty', Cmd=['cat'], Tty=True, OpenStdin=True)

    def attach(self, name: str) -> client.Terminal:
        terminal = self.engine.attach_container(name)
        self.addCleanup(terminal.close)
        return terminal

    def execute(self, name: str) -> client.Terminal:
        terminal = self.engine.exec_container(name, ['cat'])
        self.addCleanup(terminal.close)
        return terminal

    def read(self, terminal: client.Terminal, wanted: bytes) -> None:
        """Read until it shows something; its end, where that is nothing."""
        seen = b''

        def ended() -> bool:
            nonlocal seen
            data = terminal.recv(1000)
            seen += data or b''
            return wanted in seen if wanted else data == b''
        wait_until(ended)

    def test_attach(self) -> None:
        name = self.start_cat()
        one, two = self.attach(name), self.attach(name)
        self.assertIsNone(one.process())
        self.assertEqual(6, one.send(b'hello\n'))
        self.read(one, b'hello')
        self.read(two, b'hello')
        one.close()
        one.close()
        # The keys that detach by default.
        two.send(b'\x10\x11\n')
        two.resize(30, 100)
        two.send(b'again\n')
        self.read(two, b'again')
        self.engine.stop_container(name, 0)
        self.read(two, b'')
        self.assertRaises(errors.NotFound, self.engine.attach_container,
                          self.name('absent'))

    def test_exec(self) -> None:
        name = self.start_cat()
        terminal = self.execute(name)
        pid, container = terminal.process() or (0, '')
        self.assertGreater(pid, 0)
        self.assertEqual(self.engine.inspect_container(name)['Id'],
                         container)
        terminal.resize(30, 100)
        terminal.send(b'hello\n')
        self.read(terminal, b'hello')
        self.assertIsNone(self.attach(name).recv(1000))
        self.engine.stop_container(name, 0)
        self.read(terminal, b'')
        self.assertRaises(errors.Conflict, self.execute, name)

    def test_of_a_paused_one(self) -> None:
        name = self.start_cat()
        self.engine.pause_container(name)
        self.assertRaises(errors.Conflict, self.execute, name)
        self.assertRaises(errors.Conflict, self.attach, name)


class StartCases(Cases):
    """CDI devices and hooks at the start of a container."""

    def test_hook_runs_first(self) -> None:
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, 'ran')
        name = self.start(HostConfig=self.write_cdi('/bin/touch', path))
        self.assertTrue(os.path.exists(path))
        self.assertEqual('running', self.state(name)['Status'])

    def test_hook_fails(self) -> None:
        request = self.write_cdi('/bin/false')
        name = self.create(HostConfig=request)
        error = self.assertRaises(
            errors.ServerError, self.engine.start_container, name, PATIENCE)
        self.assertEqual(500, error.status)
        state = self.state(name)
        self.assertEqual(('created', 128, 0), (
            state['Status'], state['ExitCode'], state['Pid']))
        self.assertNotEqual('', state['Error'])
        # The same container starts as soon as the hook is good.
        self.write_cdi('/bin/true')
        self.assertIs(True, self.engine.start_container(name, PATIENCE))
        self.engine.kill_container(name)
        self.wait_for_exit(name)
        self.write_cdi('/bin/false')
        self.assertRaises(errors.ServerError, self.engine.start_container,
                          name, PATIENCE)
        self.assertEqual(('exited', 128), (
            self.state(name)['Status'], self.state(name)['ExitCode']))

    def test_no_such_device(self) -> None:
        name = self.create(HostConfig=self.cdi_request('absent'))
        self.assertRaises(errors.ServerError, self.engine.start_container,
                          name, PATIENCE)
        state = self.state(name)
        self.assertEqual(('created', 128), (state['Status'],
                                            state['ExitCode']))

    def test_inspect_waits_for_the_start(self) -> None:
        request, go = self.gate()
        name = self.create(HostConfig=request)
        other = self.start('other')
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            started = pool.submit(self.engine.start_container, name, PATIENCE)
            time.sleep(0.5)
            inspected = pool.submit(self.state, name)
            # All others are answered meanwhile.
            self.assertEqual('running', self.state(other)['Status'])
            self.assertEqual(['created'], [
                container['State'] for container in self.listed(names=[name])])
            self.assertFalse(inspected.done())
            self.open_gate(go)
            self.assertIs(True, started.result(PATIENCE))
            self.assertEqual('running', inspected.result(PATIENCE)['Status'])

    def test_start_takes_too_long(self) -> None:
        request, go = self.gate()
        name = self.create(HostConfig=request)
        began = time.monotonic()
        self.assertRaises(errors.Timeout, self.engine.start_container, name,
                          0.5)
        self.assertThat(time.monotonic() - began,
                        matchers.LessThan(PATIENCE / 2))
        # The engine goes on with it.
        self.open_gate(go)
        self.assertEqual('running', self.state(name)['Status'])


class ImageCases(Cases):
    """Images and their archives."""

    def test_load(self) -> None:
        found = self.engine.inspect_image(self.reference)
        self.assertEqual([self.reference], found['RepoTags'])
        self.assertEqual({'mark': self.mark}, found['Config']['Labels'])
        self.assertEqual(['sha256:' + archives.digest(self.layer)],
                         found['RootFS']['Layers'])
        # Again, and in any pieces.
        data = self.archive()
        self.engine.load_image(
            data[at:at + 1000] for at in range(0, len(data), 1000))
        self.assertEqual(found['Id'],
                         self.engine.inspect_image(self.reference)['Id'])

    def test_import(self) -> None:
        data = self.layer
        self.engine.import_image(
            self.reference_of('import'), 'linux/amd64',
            (data[at:at + 1000] for at in range(0, len(data), 1000)))
        self.addCleanup(self.engine.remove_image, self.reference_of('import'))
        found = self.engine.inspect_image(self.reference_of('import'))
        self.assertEqual([self.reference_of('import')], found['RepoTags'])
        self.assertEqual(('linux', 'amd64'),
                         (found['Os'], found['Architecture']))
        for key in ('Cmd', 'Entrypoint', 'Env', 'Labels'):
            self.assertFalse((found['Config'] or {}).get(key), key)
        self.assertEqual(1, len(found['RootFS']['Layers']))

    def test_import_of_bad_archives(self) -> None:
        reference = self.reference_of('bad')
        for bad in ([self.layer[:700]], [b'junk' * 5000]):
            self.assertRaises(errors.ServerError, self.engine.import_image,
                              reference, 'linux/amd64', bad)
            self.assertRaises(errors.NotFound, self.engine.inspect_image,
                              reference)

    def test_import_from_what_fails(self) -> None:
        body = self.layer.rstrip(b'\0')
        body += bytes(-len(body) % 512)

        def broken(end: int) -> typing.Iterator[bytes]:
            yield body[:end]
            raise KeyError('mine')

        # The last would be whole to the engine if the request ended well.
        for end in (700, len(body)):
            self.assertRaises(KeyError, self.engine.import_image,
                              self.reference_of('broken'), 'linux/amd64',
                              broken(end))
            self.assertRaises(errors.NotFound, self.engine.inspect_image,
                              self.reference_of('broken'))

    def test_load_of_layers_that_are_there(self) -> None:
        data = archives.config([self.layer], author='partial')
        partial = archives.tar([('config', data), archives.manifest(
            'config', ['absent'], [self.reference_of('partial')])])
        self.engine.load_image([partial])
        self.addCleanup(self.engine.remove_image, self.reference_of('partial'))
        expected = self.engine.inspect_image(self.reference)
        found = self.engine.inspect_image(self.reference_of('partial'))
        self.assertEqual(expected['RootFS'], found['RootFS'])
        self.assertEqual(expected['Size'], found['Size'])
        # Not so on top of other layers.
        data = archives.config([self.layer, self.layer])
        partial = archives.tar([('config', data), archives.manifest(
            'config', ['absent', 'absent'], [self.reference_of('bad')])])
        self.assertRaises(errors.BadRequest, self.engine.load_image, [partial])
        self.assertRaises(errors.NotFound, self.engine.inspect_image,
                          self.reference_of('bad'))

    def test_load_moves_a_tag(self) -> None:
        first = self.engine.inspect_image(self.reference)
        self.addCleanup(self.engine.remove_image, first['Id'])
        self.engine.load_image([self.archive(label='x')])
        self.assertNotEqual(
            first['Id'], self.engine.inspect_image(self.reference)['Id'])
        self.assertEqual(
            [], self.engine.inspect_image(first['Id'])['RepoTags'])

    def test_load_of_bad_archives(self) -> None:
        data = self.archive('bad', label='bad')
        for bad in ([], [b''], [b'junk' * 5000], [data[:len(data) // 2]],
                    [data[:700]], [b'\1' * 65536] * 100):
            error = self.assertRaises(errors.BadRequest,
                                      self.engine.load_image, bad)
            self.assertEqual(400, error.status)
            self.assertNotEqual('', str(error))
        self.assertRaises(errors.NotFound, self.engine.inspect_image,
                          self.reference_of('bad'))

    def test_load_from_what_fails(self) -> None:
        data = self.archive('bad', label='bad')

        def failing(error):
            yield data[:2000]
            raise error

        for error in (ValueError('x'), OSError('x'), BrokenPipeError('x'),
                      ConnectionResetError('x'), TimeoutError('x'),
                      requests.ConnectionError('x'), errors.Timeout('x')):
            self.assertIs(error, self.assertRaises(
                type(error), self.engine.load_image, failing(error)))
        self.assertRaises(errors.NotFound, self.engine.inspect_image,
                          self.reference_of('bad'))
        self.engine.load_image([data])
        self.engine.inspect_image(self.reference_of('bad'))

    def test_list_images(self) -> None:
        self.engine.load_image([self.archive('b', 'c', label='x')])

        def tags(*patterns):
            return sorted(
                tag.rpartition(':')[2]
                for image in self.engine.list_images(patterns)
                for tag in image['RepoTags']
                if tag.startswith(self.reference_of('')))
        self.assertEqual(['a', 'b', 'c'], tags())
        self.assertEqual(['a', 'b', 'c'], tags(self.reference_of('*')))
        self.assertEqual(['b'], tags(self.reference_of('b')))
        self.assertEqual(['a', 'c'], tags(self.reference_of('a'),
                                          self.reference_of('c')))
        self.assertEqual(['a', 'b', 'c'], tags('engine-cases.invalid/*'))
        self.assertEqual([], tags('*'))
        self.assertEqual([], tags(self.reference_of('d')))

    def test_absent_image(self) -> None:
        for method in ('inspect_image', 'remove_image', 'save_image'):
            self.assertRaises(errors.NotFound, getattr(self.engine, method),
                              self.reference_of('absent'))

    def test_remove(self) -> None:
        found = self.engine.inspect_image(self.reference)
        self.engine.remove_image(self.reference)
        self.assertRaises(errors.NotFound, self.engine.inspect_image,
                          self.reference)
        self.assertRaises(errors.NotFound, self.engine.inspect_image,
                          found['Id'])

    def test_remove_of_what_is_used(self) -> None:
        name = self.create()
        self.assertRaises(errors.Conflict, self.engine.remove_image,
                          self.reference)
        self.engine.start_container(name, PATIENCE)
        self.assertRaises(errors.Conflict, self.engine.remove_image,
                          self.reference)
        self.engine.stop_container(name, 0)
        error = self.assertRaises(errors.Conflict, self.engine.remove_image,
                                  self.reference)
        self.assertEqual(409, error.status)
        self.engine.inspect_image(self.reference)
        self.engine.remove_container(name)
        self.engine.remove_image(self.reference)

    def test_remove_one_of_two_tags(self) -> None:
        self.engine.load_image([self.archive('a', 'b')])
        name = self.create()
        self.engine.remove_image(self.reference_of('b'))
        found = self.engine.inspect_image(self.reference)
        self.assertEqual([self.reference], found['RepoTags'])
        self.engine.remove_container(name)


class CommitCases(Cases):
    """Images out of containers."""

    def setUp(self) -> None:
        super().setUp()
        self.committed = self.reference_of('b')

    def start_that_wrote(self, **body) -> str:
        """Name of a container that runs and has written /written."""
        raise NotImplementedError

    def saved(self, reference: str) -> dict[str, bytes]:
        """The members of the archive of an image."""
        with (tempfile.TemporaryFile() as file,
              self.engine.save_image(reference) as stream):
            for piece in stream:
                self.assertNotEqual(b'', piece)
                file.write(piece)
            file.seek(0)
            with tarfile.open(fileobj=file) as tar:
                return {member.name: tar.extractfile(member).read()
                        for member in tar if member.isreg()}

    def test_commit_and_save(self) -> None:
        name = self.start_that_wrote(Hostname='web', Env=['A=1'])
        reader = self.read_events(type=['container'])
        identity = self.engine.commit_container(name, self.committed)
        # What is frozen for it is as it was.
        self.assertEqual('running', self.state(name)['Status'])
        reader.wait_for('pause', 'commit', 'unpause')
        found = self.engine.inspect_image(self.committed)
        self.assertEqual(identity, found['Id'])
        self.assertEqual([self.committed], found['RepoTags'])
        self.assertIn('A=1', found['Config']['Env'])
        self.assertEqual({'mark': self.mark, 'case': self.mark},
                         found['Config']['Labels'])
        members = self.saved(self.committed)
        manifest, = json.loads(members['manifest.json'])
        config = json.loads(members[manifest['Config']])
        self.assertEqual('web', config['config']['Hostname'])
        layers = [members[layer] for layer in manifest['Layers']]
        self.assertEqual(2, len(layers))
        with tarfile.open(fileobj=io.BytesIO(layers[1])) as tar:
            self.assertEqual(b'written',
                             tar.extractfile('written').read().strip())

    def test_commit_of_a_paused_one(self) -> None:
        name = self.start()
        self.engine.pause_container(name)
        self.engine.commit_container(name, self.committed)
        self.assertEqual('paused', self.state(name)['Status'])

    def test_commit_of_what_does_not_run(self) -> None:
        self.engine.commit_container(self.create(), self.committed)
        # It takes the reference from the image that had it.
        first = self.engine.inspect_image(self.committed)['Id']
        exited = self.start('exited')
        self.engine.stop_container(exited, 0)
        self.assertNotEqual(
            first, self.engine.commit_container(exited, self.committed))
        self.assertEqual([self.committed], self.engine.inspect_image(
            self.committed)['RepoTags'])

    def test_close_ends_a_save(self) -> None:
        with self.engine.save_image(self.reference) as stream:
            pieces = iter(stream)
            next(pieces)
            closing = threading.Thread(target=stream.close)
            closing.start()
            closing.join()
            # What has come already may still be read.
            self.assertRaises(errors.Unavailable, list, pieces)
            stream.close()
        self.saved(self.reference)

    def test_save_that_is_not_read(self) -> None:
        for _ in range(3):
            with self.engine.save_image(self.reference) as stream:
                next(iter(stream))
        with self.engine.save_image(self.reference):
            pass
        self.saved(self.reference)


class FileCases(Cases):
    """Files of a container, from outside."""

    @functools.cached_property
    def container(self) -> str:
        return self.create()

    def put(self, *members) -> None:
        self.engine.put_archive(self.container, archives.tar(members))

    def get(self, path: str, max_bytes: int = 100):
        return self.engine.get_file(self.container, path, max_bytes)

    def data(self, path: str) -> bytes:
        return self.get(path).data

    def test_whole_file(self) -> None:
        info = tarfile.TarInfo('a/b/\u00e9 ' + 'x' * 200)
        info.uid, info.gid, info.mode = 1000, 1001, 0o640
        self.put((info, b'text\0'))
        self.assertEqual(
            client.File(f'/{info.name}', b'text\0', 1000, 1001, 0o640),
            self.get(f'/{info.name}'))

    def test_while_it_runs(self) -> None:
        self.engine.start_container(self.container, PATIENCE)
        self.put(('a', b'1'))
        self.assertEqual(b'1', self.data('/a'))

    def test_absent_file(self) -> None:
        self.assertRaises(errors.NotFound, self.get, '/none')
        self.assertRaises(errors.NotFound, self.get, '/none/a')
        absent = self.name('absent')
        self.assertRaises(errors.NotFound, self.engine.get_file, absent,
                          '/bin/sh', 100)
        self.assertRaises(errors.NotFound, self.engine.put_archive, absent,
                          archives.tar([]))

    def test_only_small_regular_files(self) -> None:
        pipe = tarfile.TarInfo('pipe')
        pipe.type = tarfile.FIFOTYPE
        self.put(('large', b'x' * 101), ('small', b'x' * 100), (pipe, b''),
                 ('dir/file', b''))
        self.assertIsNone(self.get('/large'))
        self.assertEqual(b'x' * 100, self.data('/small'))
        self.assertIsNone(self.get('/pipe'))
        self.assertIsNone(self.get('/dir'))

    def test_links_are_followed_inside(self) -> None:
        self.put(('real/file', b'1'), archives.link('absolute', '/real'),
                 archives.link('up', '../../../../real'),
                 archives.link('real/one', 'two'),
                 archives.link('real/two', '../../file'), ('file', b'2'),
                 archives.link('real/none', '/nowhere'))
        self.assertEqual(b'1', self.data('/absolute/file'))
        self.assertEqual(b'1', self.data('/up/file'))
        found = self.get('/real/one')
        self.assertEqual((b'2', '/file'), (found.data, found.path))
        self.assertRaises(errors.NotFound, self.get, '/real/none')
        self.put(('absolute/new', b'3'), ('up/new2', b'4'))
        self.assertEqual(b'3', self.data('/real/new'))
        self.assertEqual(b'4', self.data('/real/new2'))

    def test_no_way(self) -> None:
        self.put(('file', b''), archives.link('one', 'two'),
                 archives.link('two', 'one'))
        for path in ('/file/a', '/one/a'):
            self.assertRaises(errors.ServerError, self.get, path)
            self.assertRaises(errors.ServerError, self.put, (path, b'1'))

    def test_what_is_replaced(self) -> None:
        self.put(('kept', b'1'), archives.link('link', 'kept'))
        self.put(('link', b'2'))
        self.assertEqual((b'1', b'2'), (self.data('/kept'),
                                        self.data('/link')))
        self.assertEqual('/link', self.get('/link').path)
        self.put(('kept', b'3'))
        self.assertEqual(b'3', self.data('/kept'))

    def test_directories_are_merged(self) -> None:
        self.put(('dir/a', b'1'), ('file', b''))
        self.put(archives.directory('dir'), ('dir/b', b'2'))
        self.assertEqual((b'1', b'2'), (self.data('/dir/a'),
                                        self.data('/dir/b')))
        self.assertRaises(errors.ServerError, self.put, ('dir', b''))
        self.assertRaises(errors.ServerError, self.put,
                          archives.directory('file'))
        self.assertEqual(b'1', self.data('/dir/a'))


class EventCases(Cases):
    """What the engine tells."""

    def test_events_of_a_life(self) -> None:
        reader = self.read_events()
        name = self.start(labels={'one': '1'})
        self.engine.pause_container(name)
        # An engine that hears of the pause from containerd after the unpause
        # tells both once more.
        time.sleep(1)
        self.engine.unpause_container(name)
        self.engine.kill_container(name)
        self.wait_for_exit(name)
        self.engine.remove_container(name)
        events = reader.wait_for('create', 'start', 'pause', 'unpause',
                                 'kill', 'die', 'destroy')
        self.assertEqual(7, len(events))
        for event in events:
            self.assertEqual('container', event['Type'])
            self.assertEqual((name, self.mark, '1'), tuple(
                event['Actor']['Attributes'][key]
                for key in ('name', 'case', 'one')))
        self.assertEqual(1, len({event['Actor']['ID'] for event in events}))
        self.assertEqual(
            '137', events[5]['Actor']['Attributes']['exitCode'])
        times = [event['timeNano'] for event in events]
        self.assertEqual(sorted(set(times)), times)
        self.assertThat(abs(times[0] / 10**9 - time.time()),
                        matchers.LessThan(PATIENCE))

    def test_events_of_an_exit(self) -> None:
        reader = self.read_events()
        self.write(b'', code=3)
        events = reader.wait_for('create', 'start', 'die')
        self.assertEqual('3', events[2]['Actor']['Attributes']['exitCode'])

    def test_events_of_a_kill_for_memory(self) -> None:
        reader = self.read_events(event=['oom', 'die'])
        self.run_out_of_memory()
        reader.wait_for('oom', 'die')

    def test_failed_start(self) -> None:
        reader = self.read_events()
        name = self.create(Cmd=[fake_engine.NO_COMMAND])
        self.assertRaises(errors.BadRequest, self.engine.start_container,
                          name, PATIENCE)
        self.engine.remove_container(name)
        reader.wait_for('create', 'destroy')

    def test_filters(self) -> None:
        some = self.read_events(event=['start', 'die'])
        both = self.read_events(label=[self.label, 'kind=x'])
        self.start('a', labels={'kind': 'y'})
        self.start('b', labels={'kind': 'x'})
        both.wait_for('create', 'start')
        some.wait_for('start', 'start')

    def test_images(self) -> None:
        reader = self.read_events(type=['image'], label=[])
        self.engine.load_image([self.archive('c', label='x')])
        found = self.engine.inspect_image(self.reference_of('c'))
        self.engine.remove_image(self.reference_of('c'))
        wait_until(lambda: ['load', 'untag', 'delete'] == [
            event['Action'] for event in reader.events
            if event['Actor']['ID'] == found['Id']])

    def test_since(self) -> None:
        began = time.time()
        self.create()
        reader = self.read_events(since=began)
        events = reader.wait_for('create')
        self.engine.remove_container(self.name())
        reader.wait_for('create', 'destroy')
        later = self.read_events(since=(events[0]['timeNano'] + 1000) / 10**9)
        later.wait_for('destroy')
        self.assertEqual(['destroy'], later.actions())

    def test_close_ends_a_wait(self) -> None:
        reader = self.read_events()
        self.create()
        reader.wait_for('create')
        reader.stream.close()
        reader.join()
        self.assertIsNone(reader.error)
        reader.stream.close()
        self.assertEqual([], list(reader.stream))

    def test_close_before_reading(self) -> None:
        stream = self.engine.events({'label': [self.label]})
        stream.close()
        self.assertEqual([], list(stream))

    def test_close_of_the_engine(self) -> None:
        readers = [self.read_events(), self.read_events()]
        self.engine.close()
        for reader in readers:
            reader.join()
            self.assertIsNone(reader.error)
        # It connects again when it is needed again.
        self.assertEqual([], self.listed())


class HostCases(Cases):
    """What the engine says of itself."""

    def test_version(self) -> None:
        found = self.engine.version()
        self.assertNotEqual('', found['Version'])
        numbers = tuple(map(int, found['ApiVersion'].split('.')))
        self.assertThat(numbers, matchers.GreaterThan((1, 43)))

    def test_info(self) -> None:
        found = self.engine.info()
        self.assertEqual(self.engine.version()['Version'],
                         found['ServerVersion'])
        for key in ('ID', 'Architecture', 'CDISpecDirs', 'CgroupVersion',
                    'DockerRootDir', 'Driver', 'KernelVersion', 'MemTotal',
                    'NCPU', 'OSType', 'OperatingSystem', 'SecurityOptions'):
            self.assertTrue(found[key], key)

    def test_concurrent_requests(self) -> None:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: self.engine.info()['ID'],
                                  range(64)))
        self.assertEqual(1, len(set(found)))


class CheckpointCases(Cases):
    """Containers whose processes go on later."""

    def require_criu(self) -> None:
        # Not in setUp: these cases share their class with all others.
        if not self.engine.info()['ExperimentalBuild']:
            self.skipTest('no CRIU: tools/engine start --checkpoints')

    def restore(self, name: str, checkpoint: str) -> None:
        """Start from a checkpoint, which may have been made just now."""
        def restored() -> bool:
            try:
                return self.engine.start_container(name, PATIENCE, checkpoint)
            except errors.ServerError as error:
                if 'already exists' not in str(error):
                    raise
                return False
        wait_until(restored)

    def test_checkpoint(self) -> None:
        self.require_criu()
        name = self.start()
        reader = self.read_events(event=['die', 'start'])
        self.assertEqual([], self.engine.list_checkpoints(name))
        self.engine.create_checkpoint(name, 'one')
        state = self.state(name)
        self.assertEqual(('exited', 137), (
            state['Status'], state['ExitCode']))
        self.assertEqual(['one'], self.engine.list_checkpoints(name))
        self.restore(name, 'one')
        self.assertEqual('running', self.state(name)['Status'])
        reader.wait_for('die', 'start')
        self.assertRaises(errors.ServerError, self.engine.create_checkpoint,
                          name, 'one')
        self.assertEqual('running', self.state(name)['Status'])
        self.engine.remove_checkpoint(name, 'one')
        self.assertEqual([], self.engine.list_checkpoints(name))

    def test_checkpoint_of_a_paused_one(self) -> None:
        self.require_criu()
        name = self.start()
        self.engine.pause_container(name)
        self.engine.create_checkpoint(name, 'one')
        self.assertEqual('exited', self.state(name)['Status'])

    def test_checkpoint_is_kept(self) -> None:
        self.require_criu()
        name = self.start()
        self.engine.create_checkpoint(name, 'one')
        self.assertIs(True, self.engine.start_container(name, PATIENCE))
        self.assertEqual(['one'], self.engine.list_checkpoints(name))

    def test_no_checkpoint(self) -> None:
        self.require_criu()
        for method, *arguments in ((self.engine.create_checkpoint, 'one'),
                                   (self.engine.list_checkpoints,),
                                   (self.engine.remove_checkpoint, 'one')):
            self.assertRaises(errors.NotFound, method, self.name(),
                              *arguments)
        name = self.create()
        self.assertRaises(errors.Conflict, self.engine.create_checkpoint,
                          name, 'one')
        self.assertRaises(errors.ServerError, self.engine.remove_checkpoint,
                          name, 'one')
        self.assertRaises(errors.ServerError, self.engine.start_container,
                          name, PATIENCE, 'one')


class AllCases(ContainerCases, LogCases, TerminalCases, StartCases,
               ImageCases, CommitCases, FileCases, EventCases, HostCases,
               CheckpointCases):
    """Every case."""
