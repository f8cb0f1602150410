"""How much room there is, drawn."""

from html import escape

from raven_scan.storage.use import StorageUse
from raven_scan.web.marks import draw_bar, list_facts
from raven_scan.web.texts import NONE, Texts


def draw_storage(use: StorageUse, t: Texts) -> str:
    used = use.disk_total - use.disk_free
    share = used / use.disk_total if use.disk_total else 0.0
    label = t("{used} of {total} of the disk are used", used=t.size(used), total=t.size(use.disk_total))
    facts = [
        (t("Free"), escape(t.size(use.disk_free))),
        (t("Images, weights, checkpoints"), escape(NONE if use.blobs is None else t.size(use.blobs))),
        (t("Database"), escape(t.size(use.database))),
    ]
    return f'{draw_bar(share, label)}<p class="small muted">{escape(label)}</p>{list_facts(facts)}'
