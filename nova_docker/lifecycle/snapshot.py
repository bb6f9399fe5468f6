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


"""snapshot: what an instance has written, as an image in Glance."""

import collections.abc
import contextlib
import functools
import typing

from nova.compute import task_states
from nova.compute import utils as compute_utils
from nova import exception
from oslo_log import log as logging

from nova_docker.engine import errors
from nova_docker.image import cache
from nova_docker.image import save
from nova_docker.lifecycle import base
from nova_docker.lifecycle import disks
from nova_docker.spec import names

LOG = logging.getLogger(__name__)

#: The properties that say what the data of the original is. That of a
#: snapshot is an archive; all the others hold for it as well.
_OF_THE_ORIGINAL = frozenset(('docker_image_ref', 'docker_image_type'))


def snapshot(services: base.Services, context: typing.Any,
             instance: typing.Any, image_id: str,
             update_task_state: collections.abc.Callable[..., None]) -> None:
    """Commit the container and stream it to Glance.

    Its processes are frozen for the commit only, and nobody else may change
    the instance meanwhile. Whatever fails, neither the engine nor Glance
    keeps anything of it.

    Source: nova.virt.driver.ComputeDriver.snapshot.

    :raises nova.exception.InstanceNotRunning: there is no container
    :raises nova.exception.InstanceNotFound: it was destroyed meanwhile
    :raises nova.exception.CouldNotUploadImage: Glance has not got it all
    """
    with (_removed_on_error(services, context, instance, image_id),
          _upload(services, instance, image_id) as (reference, upload),
          compute_utils.disk_ops_semaphore):
        metadata = _metadata(services.image_api.get(context, image_id))
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        _commit(services, instance, reference)
        update_task_state(task_state=task_states.IMAGE_UPLOADING,
                          expected_state=task_states.IMAGE_PENDING_UPLOAD)
        with upload.file(services.engine, reference) as file:
            image = services.image_api.update(
                context, image_id, metadata, data=file,
                purge_props='properties' in metadata)
        if image.get('size') not in (None, file.size):
            raise exception.CouldNotUploadImage(image_id=image_id)


def cancel(services: base.Services, instance_uuid: str) -> None:
    """Call off the snapshots of an instance that is to be destroyed."""
    for upload in list(services.uploads.values()):
        if upload.instance_uuid == instance_uuid:
            upload.cancel()


@contextlib.contextmanager
def _removed_on_error(services: base.Services, context: typing.Any,
                      instance: typing.Any, image_id: str
                      ) -> collections.abc.Iterator[None]:
    """Leave no image in Glance when the body fails.

    Nova does so itself for some of its verbs, not for shelve.
    """
    try:
        yield
    except Exception:
        compute_utils.delete_image(context, instance, services.image_api,
                                   image_id)
        raise


@contextlib.contextmanager
def _upload(services: base.Services, instance: typing.Any, image_id: str
            ) -> collections.abc.Iterator[tuple[str, save.Upload]]:
    """A snapshot that can be cancelled, and leaves nothing in the engine."""
    reference = names.snapshot_reference(image_id, services.host)
    upload = save.Upload(image_id, instance.uuid)
    services.uploads[reference] = upload
    try:
        yield reference, upload
    except Exception as error:
        if upload.cancelled:
            raise exception.InstanceNotFound(
                instance_id=instance.uuid) from error
        raise
    finally:
        cache.remove(services.engine, reference)
        del services.uploads[reference]


def _metadata(image: typing.Any) -> dict[str, typing.Any]:
    """What Glance must know of the data.

    Nova has given the image the properties of the original.

    :param image: as Glance describes it now
    :returns: with all the properties that are to stay, if any has to go
    """
    metadata: dict[str, typing.Any] = {
        'disk_format': 'raw', 'container_format': 'docker'}
    properties = image.get('properties') or {}
    if _OF_THE_ORIGINAL & properties.keys():
        metadata['properties'] = {
            key: value for key, value in properties.items()
            if key not in _OF_THE_ORIGINAL}
    return metadata


def _commit(services: base.Services, instance: typing.Any,
            reference: str) -> None:
    """Commit the container in the instance's turn.

    :raises nova.exception.InstanceNotRunning: there is none
    """
    try:
        # Or it would block behind a start that waits for this turn.
        with (services.gate.turn(instance.uuid, refuse=True),
              base.existing(services, instance.uuid) as container,
              _frozen(services, instance) if container['State'] == 'running'
              else contextlib.nullcontext()):
            disks.mount(services, instance, container)
            services.engine.commit_container(container['Id'], reference)
    except exception.InstanceNotFound as error:
        raise exception.InstanceNotRunning(
            instance_id=instance.uuid) from error


@contextlib.contextmanager
def _frozen(services: base.Services, instance: typing.Any
            ) -> collections.abc.Iterator[None]:
    """For a request that freezes the processes of a running container.

    An engine that fails in the middle leaves them frozen.
    """
    services.frozen.add(instance.uuid)
    try:
        yield
    except errors.EngineError:
        _thaw(services, instance)
        raise
    services.frozen.discard(instance.uuid)


def _thaw(services: base.Services, instance: typing.Any) -> None:
    """Let the processes go on, now or when the engine is back.

    Unless their user has frozen them since. Never raises: the error that led
    here is what the user must see.
    """
    services.undone.pop(instance.uuid, None)
    try:
        container = base.find(services, instance.uuid)
        if (container is not None and container['State'] == 'paused'
                and instance.uuid in services.frozen):
            services.engine.unpause_container(container['Id'])
        services.frozen.discard(instance.uuid)
    except errors.EngineError:
        LOG.exception('A container may be left paused', instance=instance)
        services.undone[instance.uuid] = functools.partial(
            _thaw, services, instance)
