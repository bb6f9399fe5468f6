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


"""The images that are kept in the engine: pre-caching and removal."""

import collections.abc
import typing

from nova import objects
from oslo_log import log as logging

from nova_docker.engine import errors
from nova_docker.image import cache
from nova_docker.image import load
from nova_docker.image import source
from nova_docker.lifecycle import base
from nova_docker.lifecycle import destroy
from nova_docker.lifecycle import disks
from nova_docker.lifecycle import left
from nova_docker.lifecycle import live_arrival
from nova_docker.lifecycle import live_migration
from nova_docker.spec import environment
from nova_docker.spec import names

LOG = logging.getLogger(__name__)


def cache_image(services: base.Services, context: typing.Any,
                image_id: str) -> bool:
    """Load an image for the servers to come.

    Source: nova.virt.driver.ComputeDriver.cache_image.

    :returns: whether it was loaded; False when it was there
    """
    image = services.image_api.get(context, image_id)
    before = _present(services, names.image_prefix(image_id) + '*')
    loaded = load.ensure(source.Request(
        services.engine, services.image_api, context,
        objects.ImageMeta.from_dict(image),
        environment.properties({
            f'image_{name}': value
            for name, value in (image.get('properties') or {}).items()}),
        registry_options=services.options.registries))
    cache.use(services.options.state_dir, loaded.reference)
    return loaded.reference not in before


def manage_image_cache(services: base.Services,
                       all_instances: collections.abc.Iterable[typing.Any],
                       remove_unused: bool, minimum_age: int) -> None:
    """Remove the images that nobody has needed for long.

    Used is what any container on this engine is of, whoever made it, what an
    instance of this host would be made of again, and what files are upon that
    have come here. What is left of snapshots
    goes at once, and so does what moves have left, with the disks of instances
    that are gone. Few requests
    to the engine, and one for each removal.

    Source: nova.virt.driver.ComputeDriver.manage_image_cache.

    :param remove_unused: whether to
    :param minimum_age: seconds since it was last used
    """
    remove_leftovers(services)
    live_arrival.remove_over(services)
    live_migration.remove_over(services)
    destroy.remove_over(services)
    disks.remove_unknown(
        services, {instance.uuid for instance in all_instances})
    if not remove_unused:
        return
    present = _present(services, f'{names.IMAGE_REPOSITORY}/*',
                       f'{names.CARRIED_REPOSITORY}/*')
    containers = {container['ImageID'] for container in
                  services.engine.list_containers([])}
    needed = tuple(names.image_prefix(instance.image_ref)
                   for instance in all_instances if instance.image_ref)
    waiting = {reference for image in left.base_images(services)
               for reference in names.base_references(image)}
    used = {reference for reference, image_id in present.items()
            if image_id in containers or reference in waiting or
            reference.startswith(needed)}
    for reference in cache.age(services.options.state_dir, present, used,
                               minimum_age):
        LOG.info('Removing image %s, which is not used', reference)
        cache.remove(services.engine, reference)


def remove_leftovers(services: base.Services) -> None:
    """Remove what snapshots left that did not come to their end.

    Those that are being taken keep theirs. Never raises.
    """
    try:
        left = _present(services, names.snapshot_pattern(services.host))
    except errors.EngineError as error:
        LOG.warning('Cannot look for what snapshots left: %s', error)
        return
    for reference in left.keys() - services.uploads.keys():
        LOG.info('Removing %s, which a snapshot left', reference)
        cache.remove(services.engine, reference)


def _present(services: base.Services, *patterns: str) -> dict[str, str]:
    """The references of some patterns, each with the id of its image."""
    return {tag: image['Id']
            for image in services.engine.list_images(patterns)
            for tag in image['RepoTags'] or ()}
