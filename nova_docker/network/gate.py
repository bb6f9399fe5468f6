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


"""The start gate: no container runs before its network is plugged.

The engine runs a hook at every start of a container (nova_docker/cdi). The
hook asks here and waits; the gate moves the interfaces into the container,
configures them, and lets it start, or fails the start. While it waits,
everything of the engine that inspects or changes that container blocks.

A verb of the driver that starts, stops or removes a container takes the
instance's turn first::

    with gate.turn(uuid) as turn:
        ...                         # nobody else touches the instance
        turn.hand(ports)            # what to configure
        engine.start_container(...)
        turn.check()

    with gate.turn(uuid, refuse=True) as turn:
        engine.stop_container(...)  # never blocks behind a start

Without ``refuse`` a start by somebody else waits for the plan or for the end
of the turn: then the verb must not ask the engine for anything that blocks
while the container starts. A verb that does not change whether the container
runs needs no turn.

A start that Nova did not ask for finds no verb. The gate then takes the turn
itself and gets the ports from its ``on_start``.
"""

import collections
import collections.abc
import contextlib
import errno
import os
import selectors
import stat
import threading

from nova import exception
from nova.i18n import _
from oslo_log import log as logging

from nova_docker.network import hooks
from nova_docker.network import netns
from nova_docker.network import plans
from nova_docker.spec import ports as ports_spec

LOG = logging.getLogger(__name__)

_Ports = list[ports_spec.Port]

#: Finds or makes the parked ports of an instance, given its uuid and the pid
#: of its container. It is called with the instance's turn taken.
OnStart = collections.abc.Callable[[str, int], _Ports]
#: Prepares a container that is about to run, given the uuid of its instance,
#: the pid of its first process and its id.
OnContainer = collections.abc.Callable[[str, int, str], None]
#: The id of the container of an instance, given its uuid, that must not start:
#: the ports are another one's.
Left = collections.abc.Callable[[str], str | None]


class _Aborted(Exception):
    """A start that the gate must fail, and that nobody has to look into."""


class Turn:
    """An instance's turn. Made by :meth:`Gate.turn` only."""

    def __init__(self, gate: 'Gate', uuid: str, refuse: bool) -> None:
        self._gate = gate
        self.uuid = uuid
        #: Fail every start, until a plan is handed.
        self.refuse = refuse
        self.owner = threading.get_ident()
        #: Handed and not taken by a hook yet.
        self.plan: _Ports | None = None
        #: Whether a hook has taken the plan.
        self.taken = False
        #: Whether a hook works with the plan right now.
        self.serving = False
        #: Whether a container was let go with the plan.
        self.served = False
        #: Why it was not.
        self.error: Exception | None = None

    def hand(self, ports: _Ports) -> None:
        """Give the next start its ports, which are parked.

        The plan is kept on disk. It is good for one start; hand it again
        before another try. It ends the refusal of starts.
        """
        self._gate.hand(self, ports)

    def check(self) -> None:
        """See that the start went through the gate.

        :raises nova.exception.VirtualInterfacePlugException: the gate
            failed it, or the engine did not ask the gate
        """
        if not self.served:
            raise exception.VirtualInterfacePlugException(
                _('The network of instance %(uuid)s could not be plugged: '
                  '%(reason)s') % {
                      'uuid': self.uuid, 'reason': self.error or
                      _('the engine did not run the start hook')})


class Gate:
    """The start hooks' other end.

    :param state_dir: [docker]state_dir
    :param on_start: for starts that Nova did not ask for; what it raises
        fails the start
    :param on_container: for every start; what it raises fails the start
    :param left: which container of an instance must not start
    :param hook_timeout: [docker]start_hook_timeout in seconds
    """

    def __init__(self, state_dir: str, on_start: OnStart,
                 on_container: OnContainer, left: Left,
                 hook_timeout: float) -> None:
        self._state_dir = state_dir
        self._on_start = on_start
        self._on_container = on_container
        self._left = left
        self._hook_timeout = hook_timeout
        self._requests = -1
        self._wake: tuple[int, int] = (-1, -1)
        self._thread: threading.Thread | None = None
        self._stopping = False
        # Guards all below; every change is notified.
        self._changed = threading.Condition()
        self._turns: dict[str, Turn] = {}
        #: How many verbs wait for a turn that refuses.
        self._refusals: collections.Counter[str] = collections.Counter()
        self._waiting: set[hooks.Hook] = set()
        self._answered: set[hooks.Hook] = set()

    def start(self) -> None:
        """Listen, and serve the hooks that wait already.

        :raises OSError: state_dir cannot be used
        """
        os.makedirs(self._state_dir, mode=0o700, exist_ok=True)
        path = plans.requests_path(self._state_dir)
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # Open for both, it never ends and hooks never wait to open it.
        self._requests = os.open(
            path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISFIFO(os.fstat(self._requests).st_mode):
            os.close(self._requests)
            raise OSError(errno.EEXIST, f'{path} is not a FIFO')
        self._wake = os.pipe()
        self._thread = threading.Thread(
            target=self._listen, name='docker-gate', daemon=True)
        self._thread.start()
        for hook in hooks.scan(self._state_dir):
            LOG.warning('A start of instance %s was waiting for '
                        'nova-compute.', hook.uuid)
            self._receive(hook)

    def stop(self) -> None:
        """Stop listening (idempotent). Starts in progress are served."""
        if self._thread is None:
            return
        self._stopping = True
        # Not by the FIFO: a second nova-compute may read it, by mistake.
        os.write(self._wake[1], b'.')
        self._thread.join()
        self._thread = None
        for descriptor in (self._requests, *self._wake):
            os.close(descriptor)

    @contextlib.contextmanager
    def turn(self, uuid: str,
             refuse: bool = False) -> collections.abc.Iterator[Turn]:
        """Take the turn of an instance: one at a time, not reentrant.

        :param refuse: fail the starts that wait, and those that come until
            a plan is handed: to stop or remove the container
        :raises RuntimeError: this thread has the turn already
        """
        turn = Turn(self, uuid, refuse)
        with self._refusing(uuid) if refuse else contextlib.nullcontext():
            self._take(turn)
        try:
            yield turn
        finally:
            with self._changed:
                turn.plan = None
                self._changed.wait_for(lambda: not turn.serving)
                del self._turns[uuid]
                self._changed.notify_all()

    def holds(self, uuid: str) -> bool:
        """Whether this thread has the turn of an instance."""
        with self._changed:
            held = self._turns.get(uuid)
            return held is not None and held.owner == threading.get_ident()

    @contextlib.contextmanager
    def _refusing(self, uuid: str) -> collections.abc.Iterator[None]:
        """Fail the starts that wait, and those that come meanwhile."""
        with self._changed:
            self._refusals[uuid] += 1
        try:
            self._abort(uuid)
            yield
        finally:
            with self._changed:
                self._refusals[uuid] -= 1
                if not self._refusals[uuid]:
                    del self._refusals[uuid]

    def _take(self, turn: Turn) -> None:
        with self._changed:
            held = self._turns.get(turn.uuid)
            if held and held.owner == turn.owner:
                raise RuntimeError(f'the turn of {turn.uuid} is taken twice')
            self._changed.wait_for(lambda: turn.uuid not in self._turns)
            self._turns[turn.uuid] = turn
            self._changed.notify_all()

    def hand(self, turn: Turn, ports: _Ports) -> None:
        """See :meth:`Turn.hand`."""
        plans.write(self._state_dir, turn.uuid, ports)
        with self._changed:
            turn.refuse = turn.taken = turn.served = False
            turn.error = None
            turn.plan = ports
            self._changed.notify_all()

    def _abort(self, uuid: str) -> None:
        """Fail the starts of an instance that wait now, at once."""
        with self._changed:
            waiting = [hook for hook in self._waiting if hook.uuid == uuid]
            self._waiting.difference_update(waiting)
            self._changed.notify_all()
        for hook in waiting:
            LOG.info('The start of instance %s is aborted.', uuid)
            self._answer(hook, False)

    def _listen(self) -> None:
        """Receive requests until stopped."""
        buffer = b''
        # Unlike select.poll, this works with eventlet, too.
        with selectors.DefaultSelector() as selector:
            selector.register(self._requests, selectors.EVENT_READ)
            selector.register(self._wake[0], selectors.EVENT_READ)
            while not self._stopping:
                ready = {key.fd for key, _ in selector.select()}
                if self._requests not in ready:
                    continue
                with contextlib.suppress(BlockingIOError):
                    buffer += os.read(self._requests, 4096)
                *lines, buffer = buffer.split(b'\n')
                for line in filter(None, lines):
                    self._request(line.decode(errors='replace'))

    def _request(self, line: str) -> None:
        try:
            self._receive(hooks.parse(self._state_dir, line))
        except Exception:
            # One bad request must not end the service of all others.
            LOG.exception('Cannot serve the start request %r.', line)

    def _receive(self, hook: hooks.Hook) -> None:
        """Serve a hook in a thread, once."""
        with self._changed:
            # The scan at start may find one before its request is read. To
            # serve it again would take the network from its container.
            self._answered = {old for old in self._answered if old.alive()}
            if hook in self._waiting | self._answered:
                return
            self._waiting.add(hook)
        threading.Thread(target=self._serve, args=(hook,), daemon=True,
                         name=f'docker-gate-{hook.uuid}').start()

    def _serve(self, hook: hooks.Hook) -> None:
        go = False
        try:
            self._pass(hook)
            go = True
        except _Aborted as error:
            LOG.warning('A start of instance %s fails: %s', hook.uuid, error)
        except Exception:
            LOG.exception('The network of instance %s could not be plugged.',
                          hook.uuid)
        with self._changed:
            waited = hook in self._waiting
            self._waiting.discard(hook)
        if waited:
            self._answer(hook, go)

    def _answer(self, hook: hooks.Hook, go: bool) -> None:
        with self._changed:
            self._answered.add(hook)
        try:
            if not hook.answer(go):
                LOG.warning('The start of instance %s has ended before its '
                            'network was plugged.', hook.uuid)
                hook.sweep()
        except OSError:
            LOG.exception('Cannot answer the start of instance %s.',
                          hook.uuid)

    def _pass(self, hook: hooks.Hook) -> None:
        """Plug the network of a start; returning lets it go."""
        left = self._left(hook.uuid)
        if left and left == hook.container_id():
            # Nor may it use up the plan of another start.
            raise _Aborted('its instance has left that container')
        with self._claim(hook) as (turn, plan):
            try:
                self._plug(hook, plan)
                turn.served = True
            except Exception as error:
                turn.error = error
                raise

    @contextlib.contextmanager
    def _claim(self, hook: hooks.Hook) -> collections.abc.Iterator[
            tuple[Turn, _Ports | None]]:
        """The plan of the verb whose turn it is, or else the turn itself.

        Whichever comes first. Without a plan the turn is the gate's own.
        """
        own = Turn(self, hook.uuid, False)
        with self._changed:
            self._changed.wait_for(
                lambda: self._decided(hook), self._hook_timeout)
            turn = self._turns.get(hook.uuid)
            if self._refused(hook):
                raise _Aborted('it is stopped meanwhile')
            if not hook.alive():
                # It must not use up the plan of another start.
                raise _Aborted('its hook has ended')
            if turn and turn.plan is None:
                raise _Aborted('no plan in time')
            plan = turn.plan if turn else None
            if turn is None:
                turn = self._turns[hook.uuid] = own
            turn.plan = None
            turn.taken = turn.serving = True
        try:
            yield turn, plan
        finally:
            with self._changed:
                turn.serving = False
                if turn is own:
                    del self._turns[hook.uuid]
                self._changed.notify_all()

    def _decided(self, hook: hooks.Hook) -> bool:
        turn = self._turns.get(hook.uuid)
        return (turn is None or turn.plan is not None or
                self._refused(hook))

    def _refused(self, hook: hooks.Hook) -> bool:
        turn = self._turns.get(hook.uuid)
        return (hook not in self._waiting or hook.uuid in self._refusals or
                (turn is not None and turn.refuse))

    def _plug(self, hook: hooks.Hook, plan: _Ports | None) -> None:
        pid = hook.container_pid()
        if plan is None:
            LOG.info('Instance %s is started, not by Nova.', hook.uuid)
            plan = self._on_start(hook.uuid, pid)
            plans.write(self._state_dir, hook.uuid, plan)
        self._on_container(hook.uuid, pid, hook.container_id() or '')
        netns.configure(pid, plan)
        netns.route(pid, plan)
        try:
            netns.hold(plans.netns_path(self._state_dir, hook.uuid), pid)
        except OSError:
            # Only later starts miss it: they make the pairs anew.
            LOG.exception('Cannot hold the network namespace of instance '
                          '%s.', hook.uuid)
