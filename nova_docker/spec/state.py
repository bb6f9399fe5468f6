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


"""What the engine says of a container, in Nova's terms. Pure."""

import collections.abc
import dataclasses
import typing

from nova.compute import power_state
from nova.virt import event as virtevent

from nova_docker.spec import names

Json = collections.abc.Mapping[str, typing.Any]

#: Status of a process that SIGKILL ended, as the engine reports it.
_SIGKILLED = 137

_POWER = {
    'created': power_state.SHUTDOWN,
    'running': power_state.RUNNING,
    'restarting': power_state.RUNNING,
    'paused': power_state.PAUSED,
    'removing': power_state.SHUTDOWN,
    'exited': power_state.SHUTDOWN,
    # Its removal failed half-way: it can only be removed again.
    'dead': power_state.CRASHED,
}

#: The engine events that :func:`after` understands.
ACTIONS = ('create', 'start', 'die', 'oom', 'kill', 'pause', 'unpause',
           'rename', 'destroy', 'health_status')


@dataclasses.dataclass(frozen=True)
class State:
    """The container of an instance.

    :ivar container: the engine's id of it
    :ivar name: its name
    :ivar power: a nova.compute.power_state
    :ivar oom: the kernel killed one of its processes for want of memory
    :ivar exit_code: how its last run ended
    :ivar asked: somebody sent it a signal through the engine in this run, as
        each stop does
    """

    container: str
    name: str
    power: int
    oom: bool = False
    exit_code: int = 0
    asked: bool = False

    @property
    def off(self) -> bool:
        """Whether it does not run."""
        return self.power in (power_state.SHUTDOWN, power_state.CRASHED)

    @property
    def crashed(self) -> bool:
        """Whether the kernel ended it for want of memory.

        The main process was: one of its children alone may have been killed
        long before the container ended in an orderly way.
        """
        return self.off and self.oom and self.exit_code == _SIGKILLED


def of_container(summary: Json) -> State:
    """State from an entry of the engine's container list."""
    return State(summary['Id'], summary['Names'][0].lstrip('/'),
                 _POWER.get(summary['State'], power_state.NOSTATE))


def of_inspect(details: Json) -> State:
    """State from the engine's inspection of one container.

    Only this tells, when no event did, that it was killed for want of memory.
    """
    run = details['State']
    return State(details['Id'], details['Name'].lstrip('/'),
                 _POWER.get(run['Status'], power_state.NOSTATE),
                 bool(run.get('OOMKilled')), run.get('ExitCode', 0))


def after(state: State | None, event: Json) -> State | None:
    """State after an engine event about a container of the instance.

    :param state: the state before it; None when there was no container
    :param event: an entry of GET /events of type container
    :returns: None when there is no container any more
    """
    action, actor = event['Action'], event['Actor']
    if state is None or state.container != actor['ID']:
        if action not in ('create', 'start'):
            return state
        state = State(actor['ID'], actor['Attributes']['name'],
                      power_state.SHUTDOWN)
    if action == 'destroy':
        return None
    return dataclasses.replace(state, **_changes(action, actor['Attributes']))


def _changes(action: str, attributes: Json) -> dict[str, typing.Any]:
    if action == 'start':
        return {'power': power_state.RUNNING, 'oom': False, 'exit_code': 0,
                'asked': False}
    if action == 'die':
        return {'power': power_state.SHUTDOWN,
                'exit_code': int(attributes.get('exitCode', 0))}
    if action == 'pause':
        return {'power': power_state.PAUSED}
    if action == 'unpause':
        return {'power': power_state.RUNNING}
    if action == 'oom':
        return {'oom': True}
    if action == 'kill':
        # After SIGKILL it ends for that, whatever happened to a child before.
        killed = attributes.get('signal') == '9'
        return {'asked': True} | ({'oom': False} if killed else {})
    if action == 'rename':
        return {'name': attributes['name']}
    return {}


def settled(state: State) -> State:
    """The same, CRASHED when it crashed (see nova_docker.host.states)."""
    if state.crashed:
        return dataclasses.replace(state, power=power_state.CRASHED)
    return state


def transition(old: State | None, new: State | None) -> int | None:
    """The Nova lifecycle event that leads from one state to another.

    :returns: nova.virt.event.EVENT_LIFECYCLE_*; None when Nova need not know
    """
    if new is None or (old is not None and old.power == new.power):
        return None
    event: int | None = None
    if new.off:
        if old is not None and not old.off:
            event = virtevent.EVENT_LIFECYCLE_STOPPED
    elif new.power == power_state.PAUSED:
        event = virtevent.EVENT_LIFECYCLE_PAUSED
    elif new.power == power_state.RUNNING:
        event = virtevent.EVENT_LIFECYCLE_STARTED
        if old is not None and old.power == power_state.PAUSED:
            event = virtevent.EVENT_LIFECYCLE_RESUMED
    return event


def barks(event: Json) -> bool:
    """Whether an event is of a container whose health check begins to fail.

    :returns: False for one that no watchdog looks after, too
    """
    return (event['Action'] == 'health_status: unhealthy' and
            bool(event['Actor']['Attributes'].get(names.LABEL_WATCHDOG)))


def instance(event_or_summary: Json) -> str | None:
    """Instance that an event or a list entry is about, by its labels."""
    if 'Actor' in event_or_summary:
        labels = event_or_summary['Actor'].get('Attributes') or {}
    else:
        labels = event_or_summary.get('Labels') or {}
    uuid: str | None = labels.get(names.LABEL_INSTANCE)
    return uuid
