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

"""The real Docker Engine behind the seam of :mod:`.client`."""

import base64
import collections.abc
import contextlib
import http
import json
import re
import threading
import typing
import urllib.parse
import weakref

import requests
import tenacity

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.engine import stream
from nova_docker.engine import terminal
from nova_docker.engine import transport

Address = transport.Address

#: What ps is asked for. Without arguments of commands, the answer of a
#: container is bounded by its number of processes.
_PS_ARGS = '-eo pid,comm'

#: Seconds that a commit, a checkpoint, or any piece of a saved image may take:
#: it is work on all the files of a container or image, or on all its memory.
_COPY = 3600

#: How often it is looked for the process of an exec, and the seconds between.
_LOOKS, _LOOK_AFTER = 100, 0.05

#: Header with what is at a path of a container.
_PATH_STAT = 'X-Docker-Container-Path-Stat'

#: Seconds that the removal of a container may take beyond other requests: its
#: guest may have written any number of files.
_REMOVAL = 600


class Session(client.Engine):
    """A Docker Engine, connected to when first needed and again after."""

    def __init__(self, address: Address) -> None:
        """Remember the address; nothing is sent."""
        self._address = address
        self._lock = threading.Lock()
        self._clients: transport.Clients | None = None
        self._streams: weakref.WeakSet[stream.Events] = weakref.WeakSet()

    def info(self) -> client.Json:
        return self._json(self._bounded.info())

    def version(self) -> client.Json:
        return self._json(self._bounded.version(api_version=False))

    def events(self, filters: collections.abc.Mapping[
            str, collections.abc.Sequence[str]],
            since: float | None = None) -> client.EventStream:
        # Events are asked for again after each restart of the engine, and
        # it may have another version now.
        api = self._connect().unbounded
        params = {'filters': json.dumps(dict(filters))}
        if since is not None:
            params['since'] = f'{since:.9f}'
        response = api._get(api._url('/events'), params=params, stream=True)
        api._raise_for_status(response)
        events = stream.Events(response, self._address.url)
        with self._lock:
            self._streams.add(events)
        return events

    def list_containers(
            self, labels: collections.abc.Sequence[str],
            names: collections.abc.Sequence[str] = (),
            health: str | None = None) -> list[client.Json]:
        filters = {'label': list(labels)}
        if health:
            filters['health'] = [health]
        if names:
            # The engine takes a name for a regular expression.
            filters['name'] = [f'^/?{re.escape(name)}$' for name in names]
        return typing.cast(
            list[client.Json],
            self._bounded.containers(all=True, filters=filters))

    def create_container(self, name: str, body: client.Json) -> str:
        # docker-py's own method adds the proxies of the user's docker
        # configuration to the environment and lacks newer keys.
        response = self._post('/containers/create', params={'name': name},
                              body=body)
        return str(self._bounded._result(response, json=True)['Id'])

    def inspect_container(self, name: str) -> client.Json:
        return self._json(self._bounded.inspect_container(name))

    def start_container(self, name: str, timeout: float,
                        checkpoint: str | None = None) -> bool:
        response = self._post(
            '/containers/{0}/start', name, timeout=timeout,
            params={'checkpoint': checkpoint} if checkpoint else None)
        return response.status_code != http.HTTPStatus.NOT_MODIFIED

    def stop_container(self, name: str, timeout: int) -> bool:
        response = self._post('/containers/{0}/stop', name,
                              params={'t': timeout},
                              timeout=self._address.timeout + timeout)
        # Else the lists may go on to show it as running: the engine answers
        # before it takes the end in, and an inspection waits until it has.
        self.inspect_container(name)
        return response.status_code != http.HTTPStatus.NOT_MODIFIED

    def kill_container(self, name: str, signal: str = 'SIGKILL') -> None:
        self._bounded.kill(name, signal)

    def pause_container(self, name: str) -> None:
        self._bounded.pause(name)

    def unpause_container(self, name: str) -> None:
        try:
            self._bounded.unpause(name)
        except errors.ServerError as error:
            # What engines up to 28.5 answer when it is not paused.
            if self.inspect_container(name)['State']['Paused']:
                raise
            raise errors.of_status(http.HTTPStatus.CONFLICT,
                                   str(error)) from None

    def create_checkpoint(self, name: str, checkpoint: str) -> None:
        self._post('/containers/{0}/checkpoints', name, timeout=_COPY,
                   body={'CheckpointID': checkpoint, 'Exit': True})

    def list_checkpoints(self, name: str) -> list[str]:
        api = self._bounded
        found = api._result(
            api._get(api._url('/containers/{0}/checkpoints', name)),
            json=True)
        return [checkpoint['Name'] for checkpoint in found or ()]

    def remove_checkpoint(self, name: str, checkpoint: str) -> None:
        api = self._bounded
        api._raise_for_status(api._delete(
            api._url('/containers/{0}/checkpoints/{1}', name, checkpoint)))

    def update_container(self, name: str, body: client.Json) -> None:
        self._post('/containers/{0}/update', name, body=body)

    def rename_container(self, name: str, new_name: str) -> None:
        self._bounded.rename(name, new_name)

    def remove_container(self, name: str) -> None:
        api = self._bounded
        response = api._delete(
            api._url('/containers/{0}', name), params={'v': 1, 'force': 1},
            timeout=self._address.timeout + _REMOVAL)
        api._raise_for_status(response)

    def commit_container(self, name: str, reference: str) -> str:
        repository, _, tag = reference.rpartition(':')
        response = self._post(
            '/commit', params={'container': name, 'repo': repository,
                               'tag': tag, 'pause': 1}, timeout=_COPY)
        return str(self._bounded._result(response, json=True)['Id'])

    def container_logs(self, name: str, max_bytes: int) -> bytes:
        api = self._bounded
        # No line has less than one byte.
        params = {'stdout': 1, 'stderr': 1, 'tail': max_bytes}
        response = api._get(api._url('/containers/{0}/logs', name),
                            params=params, stream=True)
        with contextlib.closing(response):
            api._raise_for_status(response)
            with transport.translated(self._address.url):
                return stream.output(response, max_bytes)

    def attach_container(self, name: str) -> client.Terminal:
        return self._terminal(
            f'/containers/{urllib.parse.quote(name)}', '/attach', params={
                'stream': 1, 'stdin': 1, 'stdout': 1, 'stderr': 1,
                'detachKeys': terminal.NO_KEYS})

    def exec_container(self, name: str, command: collections.abc.Sequence[str]
                       ) -> client.Terminal:
        response = self._post('/containers/{0}/exec', name, body={
            'Cmd': list(command), 'Tty': True, 'AttachStdin': True,
            'AttachStdout': True, 'AttachStderr': True,
            'DetachKeys': terminal.EXEC_NO_KEYS})
        made = self._bounded._result(response, json=True)['Id']
        return self._terminal(
            f'/exec/{made}', '/start', json={'Tty': True, 'Detach': False})

    def _terminal(self, path: str, verb: str, **request: typing.Any
                  ) -> client.Terminal:
        # A connection of its own, as it becomes one of another protocol.
        api = transport.Client(self._address, self._bounded.api_version,
                               self._address.timeout)
        with contextlib.ExitStack() as undo:
            undo.callback(api.close)
            response = api._post(api._url(path + verb), stream=True,
                                 headers=terminal.UPGRADE, **request)
            api._raise_for_status(response)
            undo.pop_all()
        return terminal.Terminal(
            response, api.close,
            lambda rows, columns: self._post(
                f'{path}/resize', params={'h': rows, 'w': columns}),
            lambda: self._executed(path) if verb == '/start' else None)

    def _executed(self, path: str) -> tuple[int, str] | None:
        # The engine answers a moment before there is a process.
        @tenacity.retry(
            retry=tenacity.retry_if_result(
                lambda found: found['ExitCode'] is None and not found['Pid']),
            wait=tenacity.wait_fixed(_LOOK_AFTER),
            stop=tenacity.stop_after_attempt(_LOOKS),
            retry_error_callback=lambda state: typing.cast(
                tenacity.Future, state.outcome).result())
        def inspect() -> client.Json:
            api = self._bounded
            return self._json(api._result(
                api._get(api._url(f'{path}/json')), json=True))

        found = inspect()
        return ((found['Pid'], found['ContainerID']) if found['Running']
                else None)

    def container_top(self, name: str) -> client.Json:
        return self._json(self._bounded.top(name, _PS_ARGS))

    def get_file(self, name: str, path: str, max_bytes: int
                 ) -> client.File | None:
        link, file = self._get_file(name, path, max_bytes)
        if link:
            _, file = self._get_file(name, link, max_bytes)
        return file

    def _get_file(self, name: str, path: str, max_bytes: int
                  ) -> tuple[str, client.File | None]:
        """Where a symbolic link leads to in the end, or the file."""
        api = self._bounded
        # Compressed, a part of the answer would be of any size.
        response = api._get(
            api._url('/containers/{0}/archive', name), params={'path': path},
            headers={'Accept-Encoding': 'identity'}, stream=True)
        with contextlib.closing(response):
            api._raise_for_status(response)
            stat = json.loads(base64.b64decode(response.headers[_PATH_STAT]))
            if stat['linkTarget']:
                return stat['linkTarget'], None
            with transport.translated(self._address.url):
                return '', stream.file(response, path, max_bytes)

    def put_archive(self, name: str, archive: bytes) -> None:
        api = self._bounded
        response = api._put(
            api._url('/containers/{0}/archive', name), data=archive,
            params={'path': '/', 'noOverwriteDirNonDir': 1})
        api._raise_for_status(response)

    def list_images(self, references: collections.abc.Sequence[str]
                    ) -> list[client.Json]:
        # To the engine, an empty list of references matches no image.
        filters = {'reference': list(references)} if references else {}
        return typing.cast(list[client.Json],
                           self._bounded.images(filters=filters))

    def inspect_image(self, reference: str) -> client.Json:
        return self._json(self._bounded.inspect_image(reference))

    def load_image(self, archive: collections.abc.Iterable[bytes]) -> None:
        self._send('/images/load', {'quiet': 1}, archive)

    def import_image(self, reference: str, platform: str,
                     archive: collections.abc.Iterable[bytes]) -> None:
        repository, _, tag = reference.rpartition(':')
        self._send('/images/create', {
            'fromSrc': '-', 'repo': repository, 'tag': tag,
            'platform': platform}, archive)

    def _send(self, path: str, params: client.Json,
              archive: collections.abc.Iterable[bytes]) -> None:
        """POST an archive and read the answer, which may tell an error."""
        api = self._unbounded
        try:
            response = api._post(
                api._url(path), data=stream.source(archive), params=params,
                stream=True)
        except stream.SourceFailed as failed:
            raise typing.cast(Exception, failed.__cause__) from None
        with contextlib.closing(response):
            api._raise_for_status(response)
            with transport.translated(self._address.url):
                for line in stream.objects(response):
                    if 'error' in line:
                        raise errors.of_status(
                            http.HTTPStatus.BAD_REQUEST, line['error'])

    def save_image(self, reference: str) -> client.ImageStream:
        # A connection of its own: another thread reads it, and under
        # eventlet a pool must not be used by a native thread.
        api = transport.Client(self._address, self._bounded.api_version,
                               _COPY)
        with contextlib.ExitStack() as undo:
            undo.callback(api.close)
            response = api._get(api._url('/images/{0}/get', reference),
                                stream=True)
            api._raise_for_status(response)
            undo.pop_all()
        return stream.Image(response, self._address.url, api.close)

    def remove_image(self, reference: str) -> None:
        self._bounded.remove_image(reference)

    def close(self) -> None:
        with self._lock:
            clients, self._clients = self._clients, None
            streams = list(self._streams)
        for each in streams:
            each.close()
        for api in clients or ():
            api.close()

    @property
    def _bounded(self) -> transport.Client:
        return (self._clients or self._connect()).bounded

    @property
    def _unbounded(self) -> transport.Client:
        return (self._clients or self._connect()).unbounded

    def _connect(self) -> transport.Clients:
        # Not under the lock: an engine that does not answer would make each
        # thread wait for all those before it.
        clients = transport.connect(self._address)
        with self._lock:
            self._clients = clients
        return clients

    def _post(self, path: str, *names: str, body: client.Json | None = None,
              params: client.Json | None = None,
              timeout: float | None = None) -> requests.Response:
        """POST what docker-py has no method for, or none that fits.

        :param timeout: seconds to wait for an answer; None for the address's
        """
        api = self._bounded
        response: requests.Response = api._post(
            api._url(path, *names), json=body, params=params,
            timeout=self._address.timeout if timeout is None else timeout)
        api._raise_for_status(response)
        return response

    @staticmethod
    def _json(answer: typing.Any) -> client.Json:
        return typing.cast(client.Json, answer)
