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


"""Follows the events of the engine.

They keep the state cache fresh and tell Nova at once of what happened to an
instance behind its back. Decisions, each against ComputeManager's
handle_lifecycle_event and _sync_instance_power_state of Nova 33 and 34:

* An end that somebody asked the engine for is held back for seconds, as
  libvirt does for 15: a start may follow, as in ``docker restart``, and Nova
  would stop the server. Nova can't be told afterwards that it runs again, for
  it stops whatever runs in a server that it has as stopped. All other ends are
  told at once.
* Nova ignores events of an instance that has a task, which covers the stops
  and reboots it asked for, and asks get_info before it acts, which covers an
  event that comes late.
* For the same reason Nova ignores the end of a container that ends while it
  is still being spawned or started: a command that exits at once. An end that
  nobody asked for is told again a few times, as long as it lasts.
* A container that is killed for want of memory is no different: see
  :mod:`nova_docker.host.states`.
* The engine does not replay what happened while it was away. After each
  connect one list tells, and the difference is told like an event.
* A busy engine tells of a pause that ended at once a second time, when it
  hears of it from containerd, and believes in it until containerd's word of
  the end comes. Nova is told so, too: all it does is to record the state.
* An engine without live-restore that is stopped ends its containers first,
  and tells so while it takes no more requests. Of such an end Nova hears when
  the engine is back: what Nova does about it needs the engine.
* Nova's handler makes remote calls. It runs on a thread of its own, so that
  it never holds up the reader. What may wait for a verb or for a container
  that is starting (on_die, inspections) has another, and delays a third.
"""

import collections.abc
import queue
import threading
import time
import typing

from nova.virt import event as virtevent
from oslo_log import log as logging
import tenacity

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.host import states as host_states
from nova_docker.spec import names
from nova_docker.spec import state

LOG = logging.getLogger(__name__)

#: Longest wait in seconds between two attempts to reach the engine.
_LONGEST_WAIT = 8.0
#: Seconds after which an end that nobody asked for is told again, and how
#: often. Between the start of a container and the end of Nova's task is not
#: much more than a few calls to its conductor. An end that was asked for is
#: told after these seconds, once: from there to the next start, a restart
#: takes a fraction of one.
_AGAIN_AFTER = 3.0
_AGAIN_TIMES = 3
#: Seconds that stop() waits for each thread.
_STOP_WAIT = 2.0


_Call = collections.abc.Callable[[], None]


class _Worker:
    """Makes calls in their order on a daemon thread of its own."""

    def __init__(self, name: str) -> None:
        self._calls: queue.Queue[
            collections.abc.Callable[[], None] | None] = queue.Queue()
        self._stopped = False
        self._thread = threading.Thread(
            target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, func: collections.abc.Callable[..., None],
               *args: typing.Any) -> None:
        self._calls.put(lambda: func(*args))

    def stop(self) -> None:
        """End after the call that is being made; drop the others."""
        self._stopped = True
        self._calls.put(None)
        if self._thread.is_alive():
            self._thread.join(_STOP_WAIT)

    def _run(self) -> None:
        for call in iter(self._calls.get, None):
            if self._stopped:
                return
            try:
                call()
            except Exception:
                LOG.exception('An engine event could not be handled')


class EventThread:
    """Feeds the engine's events to the state cache and to Nova."""

    def __init__(
            self, engine: client.Engine, host: str,
            states: host_states.States,
            emit: collections.abc.Callable[
                [virtevent.LifecycleEvent], None],
            on_die: collections.abc.Callable[[str], None],
            on_connect: _Call = lambda: None,
            on_unhealthy: collections.abc.Callable[
                [str], None] = lambda uuid: None,
            on_away: collections.abc.Callable[
                [str], bool] = lambda uuid: False) -> None:
        """:param emit: tells Nova; may block
        :param on_die: called with the uuid of an instance whose container
            ended; may block, also until the container runs again
        :param on_connect: called when the engine can be reached, again; may
            block
        :param on_unhealthy: called with the uuid of an instance that has a
            watchdog and whose health check fails; may be late or of another
            one, and may block
        :param on_away: called with the uuid of an instance whose container
            ended while the engine was away, when it is back; returns whether
            Nova need not hear of that end
        """
        self._engine = engine
        self._filters = {'type': ['container'], 'event': state.ACTIONS,
                         'label': names.host_filter(host)}
        self._states = states
        self._emit = emit
        self._on_die = on_die
        self._on_connect = on_connect
        self._on_unhealthy = on_unhealthy
        self._on_away = on_away
        self._all = names.host_filter(host)
        self._stopping = threading.Event()
        self._stream: client.EventStream | None = None
        self._failures = 0
        self._teller = _Worker('docker-events-tell')
        self._helper = _Worker('docker-events-help')
        self._timer = _Worker('docker-events-time')
        self._reader = threading.Thread(
            target=self._run, name='docker-events', daemon=True)

    def start(self) -> None:
        """Start following. Call States.refresh before."""
        for thread in (self._teller, self._helper, self._timer,
                       self._reader):
            thread.start()

    def stop(self) -> None:
        """Stop following, within seconds whatever the engine does."""
        self._stopping.set()
        if self._stream is not None:
            self._stream.close()
        if self._reader.is_alive():
            self._reader.join(_STOP_WAIT)
        for worker in (self._teller, self._helper, self._timer):
            worker.stop()

    def _run(self) -> None:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_when_event_set(self._stopping),
            sleep=tenacity.sleep_using_event(self._stopping),
            wait=self._backoff, before_sleep=self._lost,
            retry_error_callback=lambda _state: None)
        retrying(self._follow)

    def _backoff(self, retry_state: tenacity.RetryCallState) -> float:
        return min(0.25 * 2.0 ** self._failures, _LONGEST_WAIT)

    def _lost(self, retry_state: tenacity.RetryCallState) -> None:
        if self._failures == 0 and retry_state.outcome is not None:
            error = retry_state.outcome.exception()
            known = isinstance(error, errors.EngineError)
            LOG.warning('Lost the event stream of the engine, will '
                        'reconnect: %s', error, exc_info=not known and error)
        self._failures += 1

    def _follow(self) -> None:
        # The engine opens the stream a moment after it answers; since makes
        # it replay that moment. The list comes second, so that nothing falls
        # between the two.
        stream = self._engine.events(self._filters, since=time.time())
        try:
            self._stream = stream
            if self._stopping.is_set():
                return
            self._reconcile()
            if self._failures:
                LOG.info('The event stream of the engine is back')
            self._failures = 0
            for event in stream:
                self._tell(self._states.apply(event))
                if state.barks(event):
                    self._watch(event)
        finally:
            stream.close()
        raise errors.Unavailable('the engine ended the event stream')

    def _reconcile(self) -> None:
        self._helper.submit(self._on_connect)
        for change in self._states.refresh(self._engine):
            self._tell(change, away=self._failures > 0)
        for uuid, known in self._states.all().items():
            if known.off:
                self._helper.submit(self._look, uuid, known)
        for summary in self._engine.list_containers(
                self._all, health='unhealthy'):
            self._watch(summary)

    def _watch(self, event_or_summary: client.Json) -> None:
        self._teller.submit(self._on_unhealthy,
                            state.instance(event_or_summary))

    def _tell(self, change: host_states.Change | None,
              away: bool = False) -> None:
        if change is None:
            return
        uuid, old, new = change
        lifecycle = state.transition(old, new)
        if old and not old.off and (new is None or new.off):
            self._helper.submit(self._on_die, uuid)
        if new and lifecycle == virtevent.EVENT_LIFECYCLE_STOPPED:
            self._teller.submit(
                self._tell_end, uuid, new, _AGAIN_TIMES, away)
        elif lifecycle is not None:
            self._teller.submit(self._tell_nova, uuid, lifecycle)

    def _tell_nova(self, uuid: str, lifecycle: int) -> None:
        with self._states.telling():
            self._emit(virtevent.LifecycleEvent(uuid, lifecycle))

    def _tell_end(self, uuid: str, ended: state.State, again: int,
                  away: bool) -> None:
        now = self._states.get(uuid)
        if not now or not now.off or now.container != ended.container:
            return
        if not self._answers():
            self._tell_end_again(uuid, ended, again, True)
            return
        if ended.asked and again and not away:
            self._tell_end_again(uuid, ended, 0, False)
            return
        if not (away and self._on_away(uuid)):
            self._tell_nova(uuid, virtevent.EVENT_LIFECYCLE_STOPPED)
        if again and not ended.asked:
            self._tell_end_again(uuid, ended, again - 1, False)

    def _answers(self) -> bool:
        try:
            self._engine.version()
        except errors.EngineError:
            return False
        return True

    def _tell_end_again(self, *arguments: typing.Any) -> None:
        # All wait equally long, so that a queue keeps them in order.
        self._timer.submit(self._tell_end_later,
                           time.monotonic() + _AGAIN_AFTER, arguments)

    def _tell_end_later(self, due: float,
                        arguments: tuple[typing.Any, ...]) -> None:
        if not self._stopping.wait(max(0, due - time.monotonic())):
            self._teller.submit(self._tell_end, *arguments)

    def _look(self, uuid: str, known: state.State) -> None:
        """Find out how a container ended while nobody followed."""
        try:
            self._states.learn(uuid, state.of_inspect(
                self._engine.inspect_container(known.container)))
        except errors.EngineError as error:
            LOG.debug('Cannot inspect %s: %s', known.name, error)
