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


"""The power states of this host's containers, kept in memory.

Only the event thread writes them (and init_host, before that thread runs), so
they follow the order of the engine's events. A verb that has just changed a
container reads with :meth:`States.fetch`, as the event may be underway.

A container that the kernel killed for want of memory is CRASHED, except to
the thread on which Nova handles its STOPPED event. Nova's handler does nothing
unless get_info says SHUTDOWN then (ComputeManager.handle_lifecycle_event, the
same in Nova 33 and 34), and the server would be ACTIVE until the periodic sync
of power states, ten minutes later. That thread is never answered from a list
either: the engine tells of an event a little before its lists show it.
"""

import collections.abc
import contextlib
import threading

from nova_docker.engine import client
from nova_docker.spec import names
from nova_docker.spec import state

#: What became of an instance's container: its uuid, state before, state now.
Change = tuple[str, state.State | None, state.State | None]


class States:
    """The last known state of each container of one nova-compute.

    Thread-safe. No method makes more than one request to the engine.
    """

    def __init__(self, host: str) -> None:
        """:param host: the host that init_host was given"""
        self._host = host
        self._lock = threading.Lock()
        self._states: dict[str, state.State] = {}
        self._thread = threading.local()

    def get(self, uuid: str) -> state.State | None:
        """The last known state; None when no container is known."""
        with self._lock:
            known = self._states.get(uuid)
        if known is None or self._telling:
            return known
        return state.settled(known)

    def all(self) -> dict[str, state.State]:
        """A copy of the states by instance uuid."""
        with self._lock:
            return dict(self._states)

    def fetch(self, engine: client.Engine, uuid: str) -> state.State | None:
        """Ask the engine for the state, with one list request.

        A list never waits for a container that is starting, unlike an
        inspection. The answer is not kept: see the module's docstring.

        :raises EngineError: no answer
        """
        if self._telling:
            return self.get(uuid)
        found = self._list(engine, names.instance_filter(uuid, self._host))
        now = found.get(uuid)
        return now and self._remembered(uuid, now)

    def refresh(self, engine: client.Engine) -> list[Change]:
        """Learn the state of all containers with one list request.

        :returns: the changes since what was known before
        :raises EngineError: no answer; what was known stays
        """
        found = self._list(engine, names.host_filter(self._host))
        with self._lock:
            before, self._states = self._states, found
        return [(uuid, before.get(uuid), found.get(uuid))
                for uuid in {**before, **found}
                if before.get(uuid) != found.get(uuid)]

    def apply(self, event: client.Json) -> Change | None:
        """Take in an engine event.

        :returns: the change; None when it is not about an instance
        """
        uuid = state.instance(event)
        if uuid is None:
            return None
        with self._lock:
            old = self._states.get(uuid)
            new = state.after(old, event)
            if new is None:
                self._states.pop(uuid, None)
            else:
                self._states[uuid] = new
        return uuid, old, new

    def learn(self, uuid: str, ended: state.State) -> None:
        """Take in how a container ended, from an inspection.

        Nothing happens when the container has been started since.
        """
        with self._lock:
            now = self._states.get(uuid)
            if (now and now.off and ended.off
                    and now.container == ended.container):
                self._states[uuid] = ended

    @contextlib.contextmanager
    def telling(self) -> collections.abc.Iterator[None]:
        """For the thread that tells Nova of an event, as long as it does."""
        self._thread.telling = True
        try:
            yield
        finally:
            self._thread.telling = False

    @property
    def _telling(self) -> bool:
        return getattr(self._thread, 'telling', False)

    def _remembered(self, uuid: str, now: state.State) -> state.State:
        # The list does not tell how a container ended; the events did.
        known = self.get(uuid)
        if known and known.container == now.container and known.off:
            return known if now.off else now
        return now

    @staticmethod
    def _list(engine: client.Engine,
              labels: list[str]) -> dict[str, state.State]:
        # Newest first: of two containers of an instance the newer one wins.
        return {uuid: state.of_container(summary)
                for summary in reversed(engine.list_containers(labels))
                if (uuid := state.instance(summary))}
