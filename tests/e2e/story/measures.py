"""Figures that the story prints when it is over."""

from rich.table import Table

from tests.e2e.story.story import Story

# Largest working set allowed of the containers that are only there to help, in MiB.
_LIMIT = 120
_LIMITED = ("site", "sync")


def show_measures(story: Story) -> None:
    """Print each container's largest working set, and bytes in the store by what they are for."""
    if story.lab.hands:
        _working_sets(story)
    _bytes_moved(story)


def _working_sets(story: Story) -> None:
    table = Table(title="Largest working sets, MiB")
    for column in ("cluster", "pod", "container", "MiB"):
        table.add_column(column)
    for name, cluster in story.lab.clusters.items():
        for (pod, container), size in sorted(cluster.working_sets().items()):
            mebibytes = size / 2**20
            table.add_row(name, pod, container, f"{mebibytes:.0f}")
            if name in story.sites and container in _LIMITED:
                story.narrator.show(
                    f"{name}'s {container} stays within {_LIMIT} MiB", mebibytes <= _LIMIT, f"{mebibytes:.0f} MiB"
                )
    story.narrator.console.print(table)


def _bytes_moved(story: Story) -> None:
    store = story.platform.store()
    for purpose, prefix in (
        ("blobs", "blobs/"),
        *((f"{site}'s predictions", f"sites/{site}/") for site in story.sites),
    ):
        sizes = [info.size for info in store.list(prefix)]
        story.narrator.say(f"in the store, {purpose}: {len(sizes)} objects, {sum(sizes) / 2**20:.2f} MiB")
